"""Code in Kotlin: LiteRT's interpreter on Android, or MediaPipe Tasks."""

from __future__ import annotations

import json
from collections.abc import Sequence

from edgecv.jobs.snippets.facts import Facts

COMMENT = "//"
BOOLEAN = {True: "true", False: "false"}
LABELS_FILE = 'context.assets.open("labels.txt").bufferedReader().readLines()'


def LIST(items: Sequence[str]) -> str:
    return f"listOf({', '.join(items)})"


def number(value: float) -> str:
    return f"{float(value)!r}f"


def text(value: str) -> str:
    return json.dumps(value, ensure_ascii=False).replace("$", "\\$")


def outputs(facts: Facts) -> str:
    rows = []
    for place, one in zip(facts.places, facts.outputs, strict=True):
        shape = f"intArrayOf({', '.join(map(str, one.shape[1:]))})"
        scale = number(one.scale if one.scale is not None else 1.0)
        rows.append(f'Output({place}, "{one.dtype}", {scale}, {one.zero_point or 0}, {shape})')
    return LIST(rows)


HEADER = """
// $file in Kotlin, written by edgecv from the file's contract. edgecv has no Kotlin compiler: this was not compiled.
"""

_TASK = """
// implementation("com.google.mediapipe:tasks-vision:latest.release"); $file goes into src/main/assets.
import android.content.Context
import android.graphics.Bitmap
import com.google.mediapipe.framework.image.BitmapImageBuilder
import com.google.mediapipe.tasks.core.BaseOptions
import com.google.mediapipe.tasks.vision.{package}.{name}

fun ask(context: Context, bitmap: Bitmap) = {name}.createFromOptions(
    context,
    {name}.{options}.builder()
        .setBaseOptions(BaseOptions.builder().setModelAssetPath("$file").build()){more}
        .build(),
).use {{ it.{verb}(BitmapImageBuilder(bitmap).build()) }}
"""


def _task(name: str, verb: str, more: str) -> str:
    package = name.lower()
    return _TASK.format(name=name, package=package, options=f"{name}Options", verb=verb, more=f"\n        {more}")


MEDIAPIPE = {
    "image_classifier": _task("ImageClassifier", "classify", ".setMaxResults(3)"),
    "image_embedder": _task("ImageEmbedder", "embed", ".setL2Normalize($normalise)"),
    "image_segmenter": _task("ImageSegmenter", "segment", ".setOutputCategoryMask(true)"),
    "object_detector": _task("ObjectDetector", "detect", ".setScoreThreshold($score).setMaxResults($most)"),
}

LITERT = """
// implementation("com.google.ai.edge.litert:litert:latest.release")
import android.graphics.Bitmap
import java.io.File
import java.nio.ByteBuffer
import java.nio.ByteOrder
import kotlin.math.exp
import kotlin.math.floor
import kotlin.math.roundToInt
import kotlin.math.sqrt
import org.tensorflow.lite.Interpreter

class Output(val place: Int, val type: String, val scale: Float, val zero: Int, val shape: IntArray)

object Model {
    const val HEIGHT = $height
    const val WIDTH = $width
    const val CHANNELS = $channels
    val labels: List<String> = $labels
    val outputs: List<Output> = $outputs
    val mean: List<Float> = $mean
    val std: List<Float> = $std
    val order: List<Int> = $order

    /** The window of the image that is seen, and where it goes: top, left, rows, columns of each. */
    fun frame(rows: Int, columns: Int): Pair<IntArray, IntArray> {
        val resize = "$resize"
        if (resize == "center_crop") {
            val high = maxOf(1, minOf(rows, columns * HEIGHT / WIDTH))
            val wide = maxOf(1, minOf(columns, rows * WIDTH / HEIGHT))
            return intArrayOf((rows - high) / 2, (columns - wide) / 2, high, wide) to intArrayOf(0, 0, HEIGHT, WIDTH)
        }
        var high = HEIGHT
        var wide = WIDTH
        if (resize == "letterbox") {
            if (rows * WIDTH >= columns * HEIGHT) {
                wide = maxOf(1, (2 * columns * HEIGHT + rows) / (2 * rows))
            } else {
                high = maxOf(1, (2 * rows * WIDTH + columns) / (2 * columns))
            }
        } else if (resize == "pad") {
            high = rows // the image must not be larger than the input
            wide = columns
        }
        return intArrayOf(0, 0, rows, columns) to intArrayOf((HEIGHT - high) / 2, (WIDTH - wide) / 2, high, wide)
    }

    /** Indices before and after a wanted place, and the weight of the second. */
    private fun along(index: Int, start: Int, size: Int, wanted: Int): Triple<Int, Int, Float> {
        if ($nearest) {
            val only = start + (2 * index + 1) * size / (2 * wanted)
            return Triple(only, only, 0f)
        }
        val centre = (index + 0.5) * (size.toDouble() / wanted) - 0.5
        val low = floor(centre).toInt()
        val first = low.coerceIn(0, size - 1) + start
        val second = (low + 1).coerceIn(0, size - 1) + start
        return Triple(first, second, (centre - low).toFloat())
    }

    /** An image to the input tensor. */
    fun toInput(bitmap: Bitmap): ByteBuffer {
        val rows = bitmap.height
        val columns = bitmap.width
        val pixels = IntArray(rows * columns)
        bitmap.getPixels(pixels, 0, columns, 0, 0, columns, rows)
        val (window, placed) = frame(rows, columns)
        val type = "$input_type"
        val buffer = ByteBuffer.allocateDirect(HEIGHT * WIDTH * CHANNELS * if (type == "float32") 4 else 1)
        buffer.order(ByteOrder.nativeOrder())
        val pixel = FloatArray(3)
        for (y in 0 until HEIGHT) for (x in 0 until WIDTH) {
            if (y - placed[0] in 0 until placed[2] && x - placed[1] in 0 until placed[3]) {
                val (top, bottom, down) = along(y - placed[0], window[0], window[2], placed[2])
                val (left, right, across) = along(x - placed[1], window[1], window[3], placed[3])
                for (c in 0..2) {
                    fun at(row: Int, column: Int) = (pixels[row * columns + column] shr (16 - 8 * c) and 255).toFloat()
                    val first = at(top, left) + (at(bottom, left) - at(top, left)) * down
                    val second = at(top, right) + (at(bottom, right) - at(top, right)) * down
                    pixel[c] = first + (second - first) * across
                }
            } else {
                pixel.fill($pad.toFloat())
            }
            for (c in 0 until CHANNELS) {
                val level = if ($gray) 0.299f * pixel[0] + 0.587f * pixel[1] + 0.114f * pixel[2] else pixel[order[c]]
                val value = (level - mean[c]) / std[c]
                when (type) {
                    "float32" -> buffer.putFloat(value)
                    "uint8" -> buffer.put(((value / $input_scale).roundToInt() + $input_zero).coerceIn(0, 255).toByte())
                    else -> buffer.put(((value / $input_scale).roundToInt() + $input_zero).coerceIn(-128, 127).toByte())
                }
            }
        }
        buffer.rewind()
        return buffer
    }

    private fun activated(values: FloatArray): FloatArray {
$activation
    }

$decode

    /** What the file says of an image. */
    fun answer(interpreter: Interpreter, bitmap: Bitmap): Any {
        val buffers = HashMap<Int, Any>()
        for (place in 0 until interpreter.outputTensorCount) {
            val bytes = interpreter.getOutputTensor(place).numBytes()
            buffers[place] = ByteBuffer.allocateDirect(bytes).order(ByteOrder.nativeOrder())
        }
        interpreter.runForMultipleInputsOutputs(arrayOf<Any>(toInput(bitmap)), buffers)
        return decode(outputs.map { real(buffers.getValue(it.place) as ByteBuffer, it) })
    }

    private fun real(buffer: ByteBuffer, output: Output): FloatArray {
        buffer.rewind()
        return FloatArray(output.shape.fold(1, Int::times)) {
            when (output.type) {
                "float32" -> buffer.getFloat()
                "uint8" -> ((buffer.get().toInt() and 255) - output.zero) * output.scale
                else -> (buffer.get().toInt() - output.zero) * output.scale
            }
        }
    }
}

fun show(model: File, bitmap: Bitmap) = Interpreter(model).use { println(Model.answer(it, bitmap)) }
"""

_SOFTMAX = """
        val largest = values.maxOf {{ {sign}it }}
        val grown = values.map {{ exp({sign}it - largest) }}
        val sum = grown.sum()
        return FloatArray(values.size) {{ grown[it] / sum }}
"""
ACTIVATION = {
    "none": "        return values",
    "sigmoid": "        return FloatArray(values.size) { 1f / (1f + exp(-values[it])) }",
    "softmax": _SOFTMAX.format(sign=""),
    "softmax of the negative": _SOFTMAX.format(sign="-"),
}

_SCORES = """
    /** Labels with their scores, best first. */
    private fun decode(outputs: List<FloatArray>): List<Pair<String, Float>> {{
        var scores = activated(outputs[0]){spread}
        val named = scores.mapIndexed {{ index, score -> (labels.getOrNull(index) ?: index.toString()) to score }}
        return named.sortedByDescending {{ it.second }}
    }}
"""
DECODE = {
    "scores": _SCORES.format(
        spread="\n        if (scores.size == 1) scores = floatArrayOf(1f - scores[0], scores[0]) // of the second"
    ),
    "independent scores": _SCORES.format(spread=""),
    "vector": """
    /** The vector. */
    private fun decode(outputs: List<FloatArray>): List<Float> {
        val length = if ($normalise) sqrt(outputs[0].map { it * it }.sum()).coerceAtLeast(1e-12f) else 1f
        return outputs[0].map { it / length }
    }
""",
    "mask": """
    /** The class of each place of the output, row by row; it may be smaller than the input. */
    private fun decode(values: List<FloatArray>): List<Int> {
        val classes = outputs[0].shape.getOrElse(2) { 1 }
        return values[0].toList().chunked(classes).map { place ->
            val scores = activated(place.toFloatArray())
            if (classes == 1) (if (scores[0] > 0.5f) 1 else 0) else scores.indices.maxBy { scores[it] }
        }
    }
""",
    "boxes": """
    /** Label, score and box (x1, y1, x2, y2), shares of the input, of what is found. */
    private fun decode(outputs: List<FloatArray>): List<Triple<String, Float, List<Float>>> {
        val (boxes, classes, scores, count) = outputs
        val found = (0 until minOf(count[0].toInt(), scores.size)).filter { scores[it] >= $score }
        return found.map {
            val place = classes[it].roundToInt() - $offset
            val box = listOf(boxes[4 * it + 1], boxes[4 * it], boxes[4 * it + 3], boxes[4 * it + 2])
            Triple(labels.getOrNull(place) ?: place.toString(), scores[it], box)
        }
    }
""",
    "raw boxes": """
    /** The raw outputs: edgecv's own runtime decodes and suppresses boxes, in Python. */
    private fun decode(outputs: List<FloatArray>) = outputs
""",
    "numbers": """
    /** The numbers, in the labels' own units. */
    private fun decode(outputs: List<FloatArray>) = outputs[0].toList()
""",
}
