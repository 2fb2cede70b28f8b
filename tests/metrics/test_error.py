import math

import torch

from metrics.error import error


def test_error_is_the_share_of_wrong_images_of_each_model():
    labels = torch.tensor([0, 1, 2, 2])
    right = torch.eye(3)[labels]
    one_wrong = right.clone()
    one_wrong[3] = torch.tensor([5.0, 0.0, 1.0])
    assert error(torch.stack([right, one_wrong]), labels).tolist() == [0.0, 0.25]


def test_a_model_with_a_logit_that_is_not_finite_has_no_error():
    labels = torch.tensor([0, 1])
    broken = torch.eye(2)
    broken[0, 1] = math.inf
    values = error(torch.stack([torch.eye(2), broken]), labels).tolist()
    assert values[0] == 0
    assert math.isnan(values[1])
