"""Code in Swift: LiteRT's interpreter on iOS, or MediaPipe Tasks."""

from __future__ import annotations

from edgecv.jobs.snippets.facts import Facts
from edgecv.jobs.snippets.literals import LIST as LIST  # `writing` asks each language for them
from edgecv.jobs.snippets.literals import number as number
from edgecv.jobs.snippets.literals import text as text

COMMENT = "//"
BOOLEAN = {True: "true", False: "false"}
LABELS_FILE = (
    'try! String(contentsOfFile: Bundle.main.path(forResource: "labels", ofType: "txt")!, encoding: .utf8)'
    '.split(separator: "\\n").map(String.init)'
)


def outputs(facts: Facts) -> str:
    rows = []
    for place, one in zip(facts.places, facts.outputs, strict=True):
        scale = number(one.scale if one.scale is not None else 1.0)
        rows.append(
            f'Output(place: {place}, type: "{one.dtype}", scale: {scale}, zero: {one.zero_point or 0}, '
            f"shape: {list(one.shape[1:])})"
        )
    return LIST(rows)


HEADER = """
// $file in Swift, written by edgecv from the file's contract. edgecv has no Swift compiler: this was not compiled.
"""

_TASK = """
// pod "MediaPipeTasksVision"; $file goes into the app's bundle.
import MediaPipeTasksVision
import UIKit

func ask(_ image: UIImage) throws -> {name}Result {{
    let options = {name}Options()
    options.baseOptions.modelAssetPath = Bundle.main.path(forResource: "$stem", ofType: "tflite")!
    {more}
    return try {name}(options: options).{verb}(image: MPImage(uiImage: image))
}}
"""
MEDIAPIPE = {
    "image_classifier": _TASK.format(name="ImageClassifier", verb="classify", more="options.maxResults = 3"),
    "image_embedder": _TASK.format(name="ImageEmbedder", verb="embed", more="options.l2Normalize = $normalise"),
    "image_segmenter": _TASK.format(
        name="ImageSegmenter", verb="segment", more="options.shouldOutputCategoryMask = true"
    ),
    "object_detector": _TASK.format(
        name="ObjectDetector", verb="detect", more="options.scoreThreshold = $score; options.maxResults = $most"
    ),
}

LITERT = """
// pod "TensorFlowLiteSwift"
import Foundation
import TensorFlowLite

struct Output { let place: Int, type: String, scale: Float, zero: Int, shape: [Int] }

enum Model {
    static let height = $height, width = $width, channels = $channels
    static let labels: [String] = $labels
    static let outputs: [Output] = $outputs
    static let mean: [Float] = $mean, std: [Float] = $std
    static let order: [Int] = $order

    /// The window of the image that is seen, and where it goes: top, left, rows, columns of each.
    static func frame(_ rows: Int, _ columns: Int) -> ([Int], [Int]) {
        let resize = "$resize"
        if resize == "center_crop" {
            let high = max(1, min(rows, columns * height / width)), wide = max(1, min(columns, rows * width / height))
            return ([(rows - high) / 2, (columns - wide) / 2, high, wide], [0, 0, height, width])
        }
        var high = height, wide = width
        if resize == "letterbox" {
            if rows * width >= columns * height {
                wide = max(1, (2 * columns * height + rows) / (2 * rows))
            } else {
                high = max(1, (2 * rows * width + columns) / (2 * columns))
            }
        } else if resize == "pad" { // the image must not be larger than the input
            (high, wide) = (rows, columns)
        }
        return ([0, 0, rows, columns], [(height - high) / 2, (width - wide) / 2, high, wide])
    }

    /// Indices before and after a wanted place, and the weight of the second.
    static func along(_ index: Int, _ start: Int, _ size: Int, _ wanted: Int) -> (Int, Int, Float) {
        if $nearest {
            let only = start + (2 * index + 1) * size / (2 * wanted)
            return (only, only, 0)
        }
        let centre = (Double(index) + 0.5) * (Double(size) / Double(wanted)) - 0.5
        let low = Int(centre.rounded(.down))
        func kept(_ place: Int) -> Int { min(max(place, 0), size - 1) + start }
        return (kept(low), kept(low + 1), Float(centre - Double(low)))
    }

    /// RGBA bytes of an image to the input tensor.
    static func toInput(_ rgba: [UInt8], rows: Int, columns: Int) -> Data {
        let (window, placed) = frame(rows, columns)
        var made = Data(), pixel: [Float] = [0, 0, 0]
        for y in 0..<height {
            for x in 0..<width {
                if (0..<placed[2]).contains(y - placed[0]) && (0..<placed[3]).contains(x - placed[1]) {
                    let (top, bottom, down) = along(y - placed[0], window[0], window[2], placed[2])
                    let (left, right, across) = along(x - placed[1], window[1], window[3], placed[3])
                    for c in 0..<3 {
                        func at(_ row: Int, _ column: Int) -> Float { Float(rgba[4 * (row * columns + column) + c]) }
                        let first = at(top, left) + (at(bottom, left) - at(top, left)) * down
                        let second = at(top, right) + (at(bottom, right) - at(top, right)) * down
                        pixel[c] = first + (second - first) * across
                    }
                } else {
                    pixel = [$pad, $pad, $pad]
                }
                for c in 0..<channels {
                    let gray = 0.299 * pixel[0] + 0.587 * pixel[1] + 0.114 * pixel[2]
                    append(($gray ? gray : pixel[order[c]]) - mean[c], over: std[c], to: &made)
                }
            }
        }
        return made
    }

    static func append(_ level: Float, over deviation: Float, to made: inout Data) {
        let value = level / deviation, step = Int((value / $input_scale).rounded(.toNearestOrEven)) + $input_zero
        switch "$input_type" {
        case "float32": withUnsafeBytes(of: value) { made.append(contentsOf: $$0) }
        case "uint8": made.append(UInt8(min(max(step, 0), 255)))
        default: made.append(UInt8(bitPattern: Int8(min(max(step, -128), 127))))
        }
    }

    static func activated(_ values: [Float]) -> [Float] {
$activation
    }

$decode

    static func real(_ data: Data, _ output: Output) -> [Float] {
        switch output.type {
        case "float32": return data.withUnsafeBytes { Array($$0.bindMemory(to: Float.self)) }
        case "uint8": return data.map { Float(Int($$0) - output.zero) * output.scale }
        default: return data.map { Float(Int(Int8(bitPattern: $$0)) - output.zero) * output.scale }
        }
    }
}

/// What the file says of an image, given as RGBA bytes, row by row.
func answer(_ path: String, _ rgba: [UInt8], rows: Int, columns: Int) throws -> Any {
    let interpreter = try Interpreter(modelPath: path)
    try interpreter.allocateTensors()
    try interpreter.copy(Model.toInput(rgba, rows: rows, columns: columns), toInputAt: 0)
    try interpreter.invoke()
    return Model.decode(try Model.outputs.map { Model.real(try interpreter.output(at: $$0.place).data, $$0) })
}
"""

_SOFTMAX = """
        let largest = values.map {{ {sign}$$0 }}.max() ?? 0
        let grown = values.map {{ exp({sign}$$0 - largest) }}, sum = grown.reduce(0, +)
        return grown.map {{ $$0 / sum }}
"""
ACTIVATION = {
    "none": "        return values",
    "sigmoid": "        return values.map { 1 / (1 + exp(-$$0)) }",
    "softmax": _SOFTMAX.format(sign=""),
    "softmax of the negative": _SOFTMAX.format(sign="-"),
}

_SCORES = """
    /// Labels with their scores, best first.
    static func decode(_ found: [[Float]]) -> [(String, Float)] {{
        var scores = activated(found[0]){spread}
        let named = scores.enumerated().map {{ ($$0 < labels.count ? labels[$$0] : String($$0), $$1) }}
        return named.sorted {{ $$0.1 > $$1.1 }}
    }}
"""
DECODE = {
    "scores": _SCORES.format(
        spread="\n        if scores.count == 1 { scores = [1 - scores[0], scores[0]] } // of the second of two classes"
    ),
    "independent scores": _SCORES.format(spread=""),
    "vector": """
    /// The vector.
    static func decode(_ found: [[Float]]) -> [Float] {
        let length = $normalise ? max(found[0].map { $$0 * $$0 }.reduce(0, +).squareRoot(), 1e-12) : 1
        return found[0].map { $$0 / length }
    }
""",
    "mask": """
    /// The class of each place of the output, row by row; it may be smaller than the input.
    static func decode(_ found: [[Float]]) -> [Int] {
        let classes = outputs[0].shape.count > 2 ? outputs[0].shape[2] : 1
        return stride(from: 0, to: found[0].count, by: classes).map { start in
            let scores = activated(Array(found[0][start..<(start + classes)]))
            if classes == 1 { return scores[0] > 0.5 ? 1 : 0 }
            return scores.indices.max { scores[$$0] < scores[$$1] }!
        }
    }
""",
    "boxes": """
    /// Label, score and box (x1, y1, x2, y2), shares of the input, of what is found.
    static func decode(_ found: [[Float]]) -> [(String, Float, [Float])] {
        let boxes = found[0], classes = found[1], scores = found[2]
        return (0..<min(Int(found[3][0]), scores.count)).filter { scores[$$0] >= $score }.map {
            let place = Int(classes[$$0].rounded()) - $offset
            let label = labels.indices.contains(place) ? labels[place] : String(place)
            return (label, scores[$$0], [boxes[4 * $$0 + 1], boxes[4 * $$0], boxes[4 * $$0 + 3], boxes[4 * $$0 + 2]])
        }
    }
""",
    "raw boxes": """
    /// The raw outputs: edgecv's own runtime decodes and suppresses boxes, in Python.
    static func decode(_ found: [[Float]]) -> [[Float]] { found }
""",
    "numbers": """
    /// The numbers, in the labels' own units.
    static func decode(_ found: [[Float]]) -> [Float] { found[0] }
""",
}
