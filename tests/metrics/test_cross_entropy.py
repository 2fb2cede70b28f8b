import math

import pytest
import torch

from metrics.cross_entropy import cross_entropy

LABELS = torch.tensor([0, 1])


def test_it_is_the_mean_surprise_in_nats_of_each_model():
    even, sure = torch.zeros(2, 4), torch.tensor([[math.log(3), 0, 0, 0]] * 2)
    found = cross_entropy(torch.stack([even, sure]), LABELS)
    assert found.dtype == torch.float64
    assert found.tolist() == pytest.approx([math.log(4), (math.log(2) + math.log(6)) / 2], rel=1e-7)
    assert cross_entropy(even, LABELS).shape == ()


def test_a_loss_of_finite_logits_is_finite():
    largest = torch.finfo(torch.float32).max
    logits = torch.tensor([[-largest, largest], [-largest, largest]])
    assert float(cross_entropy(logits, LABELS)) == pytest.approx(largest)  # 2 largest, which float32 lacks, and 0


@pytest.mark.parametrize("broken", [math.inf, -math.inf, math.nan])
def test_a_model_with_a_logit_that_is_not_finite_has_no_loss(broken):
    logits = torch.zeros(2, 2, 2)
    logits[1, 0, 1] = broken
    whole, other = cross_entropy(logits, LABELS).tolist()
    assert whole == pytest.approx(math.log(2))
    assert math.isnan(other)


def test_no_images_no_loss():
    assert all(map(math.isnan, cross_entropy(torch.empty(2, 0, 3), LABELS[:0]).tolist()))
