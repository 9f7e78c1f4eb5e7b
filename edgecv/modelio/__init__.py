"""Reading and writing keras models together with their manifest, on tf_keras (the Keras 2 API)."""
