from pipeline.prediction.records import Detection, LabelPrediction


def test_detection_numbers_are_printed_with_the_decimals_that_mean_something():
    box = Detection(
        label="stop", score=0.123456789, box_yxyx=(0.1, 1 / 3, 0.5, 2 / 3), box_xywh_px=(1 / 3, 2 / 3, 10.0, 99.99999)
    )
    assert box.to_json() == (
        '{"label":"stop","score":0.123457,"box_yxyx":[0.1,0.333333,0.5,0.666667],"box_xywh_px":[0.333,0.667,10.0,100.0]}'
    )


def test_label_prediction_probabilities_are_printed_with_six_decimals():
    said = LabelPrediction(
        file="a.jpg", width=8, height=6, label="cat", probabilities={"cat": 2 / 3, "dog": 1 / 3}, is_reported=None
    )
    assert '"probabilities":{"cat":0.666667,"dog":0.333333}' in said.to_json()
