import math

import numpy as np
import pytest

from sweeps.case_studies.error_surface import DENSE_SEEDS, ONE_MODEL, SHARED_IMAGES, TILT, error_noise, error_surface


def surface(errors, noise, from_border=None, loads=None, places=None):
    count = len(errors)
    places = np.linspace(0, 1, count) if places is None else np.array(places)
    loads = np.full(count, 0.1) if loads is None else np.array(loads)
    border = np.zeros(count) if from_border is None else np.array(from_border)
    return error_surface(places, loads, np.array(errors), np.array(noise), border)


def test_what_is_exact_stays_what_it_is():
    found = surface([0.1, 0.3, 0.2], [0.0] * 3, from_border=[1, 0, 0.5])
    assert found.mean == pytest.approx([0.5, 1.5, 1.0])
    assert found.deviation(0, 1) == 0


def test_what_noise_could_have_made_is_the_border_where_the_paper_expects_it():
    alike = surface([0.20, 0.21, 0.20], [0.05] * 3, from_border=[0.5, 0, 0.5])
    assert np.argmin(alike.mean) == 1
    exact = surface([0.20, 0.21, 0.20], [0.0001] * 3, from_border=[0.5, 0, 0.5])
    assert np.argmin(exact.mean) != 1


def test_more_noise_draws_nearer_to_what_is_expected():
    gaps = [np.ptp(surface([0.1, 0.2], [noise] * 2).mean) for noise in (0.0001, 0.02, 0.1, 10)]
    assert gaps == sorted(gaps, reverse=True)
    assert gaps[0] == pytest.approx(2 / 3, abs=0.01)
    assert gaps[-1] == pytest.approx(0, abs=0.01)


def test_a_neighbouring_density_says_which_temperature_is_better():
    errors, noise = [0.20, 0.20, 0.05, 0.10], [0.02, 0.02, 0.001, 0.001]
    cells = {"places": [0, 1, 0, 1], "loads": [0.1, 0.1, 0.2, 0.2]}
    near = surface(errors, noise, **cells)
    assert near.mean[0] < near.mean[1] - 0.05
    far = surface(errors, noise, **(cells | {"loads": [1e-9, 1e-9, 0.2, 0.2]}))
    assert far.mean[0] == pytest.approx(far.mean[1], abs=0.01)


def test_levels_of_densities_do_not_count_nor_does_the_scale():
    errors, noise = np.array([0.2, 0.22, 0.02, 0.021]), np.array([0.02, 0.02, 0.002, 0.002])
    cells = {"places": [0, 1, 0, 1], "loads": [0.1, 0.1, 0.2, 0.2]}
    assert surface(errors, noise, **cells).mean == pytest.approx(surface(errors / 7, noise / 7, **cells).mean)
    assert np.ptp(surface([0.0, 0.0], [0.1, 0.1]).mean) == pytest.approx(0, abs=1e-9)


def test_scores_of_which_the_highest_is_the_best_are_weighed_as_their_negatives():
    noisy = surface([-20.0, -20.5, -20.0], [5.0] * 3, from_border=[0, 0.5, 1])
    assert noisy.scale == pytest.approx([20.5 - 1 / 3] * 3)
    assert np.argmin(noisy.mean) == 0  # the best one is expected at the border, whatever noise says
    assert (noisy.mean * noisy.scale)[2] > (noisy.mean * noisy.scale)[0]
    exact = surface([-20.0, -20.5, -20.0], [0.0] * 3, from_border=[0, 0.5, 1])
    assert exact.mean * exact.scale == pytest.approx([-20, -20.5, -20])
    assert np.argmin(exact.mean) == 1
    far = surface([-20.0, -20.0], [1000.0] * 2, from_border=[0, 1])
    assert far.mean[1] - far.mean[0] == pytest.approx(TILT, rel=1e-3)  # it falls by as much as an error rises


def test_two_cells_by_hand():
    """Prior variance 0.04 each, covariance 0.04 / e^2, level variance 4, noise variance 0.01, of errors 0.9 and 1.1."""
    found = surface([0.9, 1.1], [0.1, 0.1])
    share = 0.04 * (1 - math.exp(-2))  # of a difference: twice the variance, less twice the covariance, over two
    assert found.mean[1] - found.mean[0] == pytest.approx(0.2 * share / (share + 0.01))
    assert found.deviation(0, 1) == pytest.approx(math.sqrt(2 * share * 0.01 / (share + 0.01)))


def test_without_anything_known_errors_are_exact():
    assert error_noise([{"validation_error": 0.1}, {"validation_error": 0.2}], "validation_error").tolist() == [0, 0]


def test_a_standard_error_of_ones_own_is_taken_as_it_is():
    rows = [{"validation_error": 0.1, "validation_error_se": 0.01, "n_runs": 6}, {"validation_error": 0.2}]
    assert error_noise(rows, "validation_error").tolist() == [0.01, 0]
    with_images = [row | {"validation_images": 100} for row in rows]
    assert error_noise(with_images, "validation_error")[0] == 0.01


def test_that_no_image_is_wrong_is_not_known_for_sure():
    rows = [{"validation_error": 0.0, "validation_error_se": 0.0, "n_runs": 4, "n_dense_seeds": 2}] * 2
    assert (error_noise([row | {"validation_images": 100} for row in rows], "validation_error") > 0).all()


def test_training_errors_have_the_scatter_of_their_siblings_too():
    row = {"train_error": 0.1, "train_error_se": 0.01, "n_runs": 6, "n_dense_seeds": 2}
    assert error_noise([row] * 2, "train_error") == pytest.approx([math.sqrt(DENSE_SEEDS) * 0.01] * 2)


def test_of_images_the_noise_is_binomial_less_what_models_share():
    rows = [{"validation_error": 0.2, "validation_images": 100}, {"validation_error": 0.0, "validation_images": 100}]
    share = SHARED_IMAGES + ONE_MODEL
    expected = [math.sqrt(share * 0.16 / 100), math.sqrt(share * 0.005 * 0.995 / 100)]
    assert error_noise(rows, "validation_error") == pytest.approx(expected)
    six = [row | {"n_runs": 6} for row in rows]
    assert error_noise(six, "validation_error")[0] == pytest.approx(
        math.sqrt((SHARED_IMAGES + ONE_MODEL / 6) * 0.16 / 100)
    )
    assert error_noise([{"train_error": 0.2, "validation_images": 100}], "train_error").tolist() == [0]


def test_the_scatter_of_siblings_is_pooled_as_a_share_of_the_error():
    rows = [
        {"validation_error": 0.1, "validation_error_se": 0.01, "n_runs": 4},
        {"validation_error": 0.2, "validation_error_se": 0.00, "n_runs": 4},
    ]
    rows = [row | {"validation_images": 100, "n_dense_seeds": 2} for row in rows]
    pooled = (3 * (0.01 / 0.1) ** 2 * 4 + 0) / 6
    expected = [
        math.sqrt(DENSE_SEEDS * pooled / 4 * error**2 + SHARED_IMAGES * error * (1 - error) / 100)
        for error in (0.1, 0.2)
    ]
    assert error_noise(rows, "validation_error") == pytest.approx(expected)
