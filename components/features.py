"""The feature table: every key of the examples and the transformed examples, in one place.

Raw examples carry slim's names (tensorflow/models, research/slim/datasets/build_visualwakewords_data_lib.py):

    image/encoded               bytes    JPEG (grayscale or YCbCr) or PNG, decodable by TensorFlow
    image/format                bytes    "jpeg" or "png", from the bytes, not from the file's name
    image/filename              bytes    path below the images folder
    image/source_id             bytes    the COCO image id, in decimal
    image/key/sha256            bytes    hex digest of image/encoded
    image/height, image/width   int64    pixels, of the encoded image
    image/class/label           int64    PERSON or NOT_PERSON
    image/class/text            bytes    the label's name
    image/object/bbox/ymin ...  float32  [n] in 0...1, clipped to the image
    image/object/class/label    int64    [n] COCO category id
    image/object/label          int64    [n] the label of that category; 0 for one without a label
    image/object/area           float32  [n] mask area in square pixels, as COCO states it
    image/object/gives_label    int64    [n] 1 for the objects that gave the image its label, else 0
    image/object/is_crowd       int64    [n] 0 or 1
    image/slice/largest_object  bytes    bucket of the largest labelled object's area fraction

Transformed examples carry what training and calibration need, and what statistics and drift are computed of
(docs/decisions/0006-statistics-of-what-the-model-sees.md):

    raster                      bytes    side * side * channels bytes, row-major, 8 bits a value; of a detector
                                         image/encoded in its place where that is smaller
    label                       int64    as image/class/label
    source_id                   bytes    as image/source_id
    brightness                  float32  mean of the raster / 255, 0...1
    contrast                    float32  standard deviation of the raster / 255, 0...0.5
    width, height               int64    pixels, of the encoded image
    object_count                int64    annotated objects with a box, of every category
    object_boxes                float32  [n] ymin, xmin, ymax, xmax in 0...1 of the largest objects that gave the label
    training_raster             bytes    side * side * channels of `transform.training_raster`; only if that is set

and, of a detector, instead of `object_boxes`, all of its labelled objects up to `transform.max_boxes`, the largest:

    boxes                       float32  [4 * max_boxes] ymin, xmin, ymax, xmax in 0...1, the largest first, then 0
    box_labels                  int64    [max_boxes] label of each, 0 where there is no box
    box_crowds                  int64    [max_boxes] 1 for a crowd, which is neither an object nor background

One of them, gray and 96 pixels a side, takes about 9,400 bytes before compression: 9,235 are the raster, the
five features that only describe take 103, and the boxes 20 and some 17 for each object, of which there are at most
`MAX_OBJECTS`. A training raster adds its bytes and 56: 49,208 in colour and of 128 pixels a side.
"""

ENCODED = "image/encoded"
FORMAT = "image/format"
FILENAME = "image/filename"
SOURCE_ID = "image/source_id"
SHA256 = "image/key/sha256"
HEIGHT = "image/height"
WIDTH = "image/width"
LABEL = "image/class/label"
LABEL_TEXT = "image/class/text"
YMIN = "image/object/bbox/ymin"
XMIN = "image/object/bbox/xmin"
YMAX = "image/object/bbox/ymax"
XMAX = "image/object/bbox/xmax"
OBJECT_CATEGORY = "image/object/class/label"
OBJECT_LABEL = "image/object/label"
OBJECT_AREA = "image/object/area"
OBJECT_GIVES_LABEL = "image/object/gives_label"
OBJECT_IS_CROWD = "image/object/is_crowd"
LARGEST_OBJECT = "image/slice/largest_object"

RASTER = "raster"
TRANSFORMED_LABEL = "label"
TRANSFORMED_SOURCE_ID = "source_id"
BRIGHTNESS = "brightness"
CONTRAST = "contrast"
TRANSFORMED_WIDTH = "width"
TRANSFORMED_HEIGHT = "height"
OBJECT_COUNT = "object_count"
OBJECT_BOXES = "object_boxes"
TRAINING_RASTER = "training_raster"
BOXES = "boxes"
BOX_LABELS = "box_labels"
BOX_CROWDS = "box_crowds"
MAX_OBJECTS = 8  # of one image, in OBJECT_BOXES; to keep one of the largest in view is enough
# What statistics are computed of: not rasters and ids, of which no two are equal.
DESCRIPTIVE = (TRANSFORMED_LABEL, BRIGHTNESS, CONTRAST, TRANSFORMED_WIDTH, TRANSFORMED_HEIGHT, OBJECT_COUNT)

TRAIN = "train"
EVAL = "eval"
TEST = "test"
SPLITS = (TRAIN, EVAL, TEST)
REQUIRED_SPLITS = (TRAIN, EVAL)

# Signatures of the exported SavedModel.
SERVING_SIGNATURE = "serving_default"  # examples: string [n] -> probabilities: float32 [n, labels]
PIXELS_SIGNATURE = "pixels"  # image: float32 [1, side, side, channels] in [-1, 1] -> probabilities: float32 [1, labels]
PROBABILITIES = "probabilities"
IMAGE = "image"
# A detector's: serving gives detections of `release.decoder`, the best first, rows of 0 where there are fewer;
# pixels gives what is decoded, as `components.detection.coding` describes it.
DETECTION_BOXES = "detection_boxes"  # float32 [n, max_detections, 4] ymin, xmin, ymax, xmax in 0...1
DETECTION_SCORES = "detection_scores"  # float32 [n, max_detections] in 0...1, falling
DETECTION_LABELS = "detection_labels"  # int64 [n, max_detections], 1...labels-1
ENCODED_BOXES = "boxes"  # float32 [1, anchors, 4]; of outputs per map boxes_0 ... in the order of the maps
SCORE_LOGITS = "scores"  # float32 [1, anchors, labels - 1]; likewise
