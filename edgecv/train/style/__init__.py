"""Style transfer: pictures of what one image shows with the textures of another, and networks that make them.

Source: Gatys, Ecker, Bethge 2016, "Image Style Transfer Using Convolutional Neural Networks"; Johnson, Alahi, Fei-Fei
2016, "Perceptual Losses for Real-Time Style Transfer and Super-Resolution".
"""
