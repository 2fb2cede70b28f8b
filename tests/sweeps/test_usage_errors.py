"""What a person gets wrong: one sentence, exit code 2, no traceback. The commands run in this process."""

import pytest
from support import TABLE, run_here


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--density", "1.5"], "--densities 1.5: a density is a fraction kept, in (0, 1]."),
        (["--density"], "--densities (nothing): give at least one value."),
        (["--temperatures"], "--temperatures (nothing): a search needs at least two."),
        (["--temperatures", "2"], "--temperatures 2: a search needs at least two."),
        (["--start", "3"], "--start 3: it is one of the --temperatures 2 6."),
        (["--lmc-threshold", "0"], "--lmc-threshold 0.0: it is a negative number"),
        (["--lmc-threshold", "0.05"], "--lmc-threshold 0.05: it is a negative number"),
        (["--select-by", "regime"], "--select-by regime: there is no such column of errors or BLEU; there are"),
        (["--select-by", "typo"], "--select-by typo: there is no such column"),
        (["--most-siblings", "-1"], "--most-siblings -1: it is 0 or more."),
        (["--json", "."], "--json . is not a file on this machine; name one."),
        (["--json", "a.txt"], "--json a.txt: it is .json that is written; name such a file."),
        (["--json", "table.csv/a.json"], "table.csv is not a folder that can be written."),
        (["--strategy", "bisect"], "--strategy bisect: it is one of border, step."),
        (["--choose", "weigh"], "--choose weigh: it is one of weighed, boundary, best-visited."),
        (
            ["--choose", "boundary", "--select-by", "validation_error"],
            "--select-by validation_error: --choose boundary asks for no errors; leave one of them out.",
        ),
        (["--budget", "0"], "--budget 0: it is a positive number of core hours."),
        (["--budget", "-1"], "--budget -1: it is a positive number of core hours."),
        (["--budget", "nan"], "--budget nan: it is a positive number of core hours."),
        (["--budget", "x"], "--budget x: it is a number."),
        (["--replay"], "--replay needs a value."),
        (["--replay", "absent.csv"], "absent.csv is not there; name a results folder, or a .csv or .parquet file."),
        (["--replay", "."], "holds no results of a sweep"),
        (["--replay", "table.csv", "--density", "0.2"], "--densities 0.2: table.csv has 0.1."),
        (["--replay", "table.csv", "--temperatures", "1", "3"], "--temperatures 3: table.csv has 1 2."),
        (["--replay", "table.csv", "--start", "3"], "--start 3: it is one of the --temperatures 1 2."),
        (
            ["--replay", "table.csv", "--select-by", "loss"],
            "--select-by loss: there is no such column",
        ),
        (
            ["--replay", "table.csv", "--budget", "1"],
            "--budget 1: with --replay nothing is trained; leave one of them out.",
        ),
        (
            ["--replay", "table.csv", "--most-siblings", "4"],
            "--most-siblings 4: table.csv has a row for each cell, and no siblings to ask for; leave it out.",
        ),
        (["--replay", "se.csv"], "se.csv, row 1: validation_error_se is -0.1; a standard error is 0 or more."),
        (["--replay", "images.csv"], "images.csv, row 1: validation_images is 0.0; a number of images is 1 or more."),
        (["--replay", "words.csv"], "words.csv, row 1: validation_images is many; it has to be a number."),
        (["--replay", "table.csv", "--temperature", "heat"], "--temperature heat: the axes are epochs"),
        (["--replay", "table.csv", "--lr", "0.5"], "--lr 0.5: what is replayed has 0.1; leave it out."),
        (["--replay", "table.csv", "--lmc-threshold", "0"], "--lmc-threshold 0.0: it is a negative number"),
        (["--replay", "nan.csv"], "nan.csv, row 1: test_error is nan; it has to be a number."),
        (["--replay", "text.csv"], "text.csv, row 1: test_error is good; it has to be a number."),
        (["--replay", "twice.csv"], "twice.csv has two columns lmc; rename or remove one."),
        (["--replay", "gap.csv"], "--replay: the table has no results of epochs 2 at density 0.2; record them"),
    ],
)
def test_bad_searches_are_one_sentence_and_exit_code_2(arguments, said, tmp_path):
    for name, old, new in (
        ("table", "", ""),
        ("nan", "0.3", ""),
        ("text", "0.3", "good"),
        ("twice", "cka", "lmc"),
        ("gap", "2,0.1,-0.4", "1,0.2,-0.4"),
        ("se", "cka\n1,0.1,-0.01,0.3,0.9", "validation_error_se\n1,0.1,-0.01,0.3,-0.1"),
        ("images", "cka\n1,0.1,-0.01,0.3,0.9", "validation_images\n1,0.1,-0.01,0.3,0"),
        ("words", "cka\n1,0.1,-0.01,0.3,0.9", "validation_images\n1,0.1,-0.01,0.3,many"),
    ):
        (tmp_path / f"{name}.csv").write_text(TABLE.replace(old, new, 1))
    preset = [] if "--replay" in arguments else ["--preset", "smoke"]
    done = run_here("tune_temperature", *preset, *arguments, cwd=tmp_path)
    assert done.returncode == 2, done.stdout
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "results").exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--densities", "1.5"], "grid.py: --densities 1.5: a density is a fraction kept, in (0, 1]."),
        (["--densities"], "--densities (nothing)"),
        (["--retrain-seeds", "1"], "--retrain-seeds 1: siblings are compared in pairs"),
        (["--temperatures", "7"], "--temperatures 7"),
        (
            ["--preset", "cifar"],
            "--preset cifar: there is no such preset; the presets are digits, digits-epochs, smoke",
        ),
        (["--temperature", "rho"], "--temperature rho: the preset's --temperatures are of another axis"),
        (["--load", "width"], "--load width: the preset's --widths are of another axis"),
        (
            ["--load", "data_dimension"],
            "--load data_dimension: the preset's --data-dimensions are of another axis; give --data-dimensions, too.",
        ),
        (
            ["--load", "data_dimension", "--data-dimensions", "4", "65", "--densities", "0.1"],
            "dimension 65 of 'digits-components65': it is from 1 to the smaller of 1297 training images and 64 numbers",
        ),
        (
            ["--load", "data_dimension", "--data-dimensions", "4", "--densities", "0.1", "--data", "digits-manifold9"],
            "digits-manifold9-components4 has a dimension twice; leave one of the two out.",
        ),
        (["--data", "digits-components0"], "dimension 0 of 'digits-components0'"),
        (["--generator", "principal-components"], "--generator principal-components: it is of --load data_dimension"),
        (["--dimension-neighbours", "2"], "--dimension-neighbours 2: it is a whole number from 3 on."),
        (
            ["--dimension-neighbours", "1167"],
            "--dimension-neighbours 1167: it is below the number of training images, 1167.",
        ),
        (
            ["--temperature", "batch_size", "--temperatures", "16", "9999"],
            "--temperatures 9999: on the batch_size axis",
        ),
        (["--data", "absent.npz"], "absent.npz cannot be read"),
        (["--data", __file__], "is no folder of images, and a file of arrays ends in .npz; a folder needs train/"),
        (["--data", "pictures"], "unknown data set"),
        (["--data", "SVHN", "--data-folder", "/proc/no"], "SVHN is not in /proc/no and cannot be downloaded"),
        (["--model", "absent_module:model"], "module 'absent_module' of model absent_module:model cannot be imported"),
        (["--model", "vgg11", "--estimate"], "model vgg11 cannot be trained on images of 8x8 pixels"),
        (["--augmentation", "absent_module:f"], "module 'absent_module' of augmentation absent_module:f cannot be imp"),
        (["--augmentation", "torch:squeeze"], "augmentation torch:squeeze cannot be used on images of 8x8 pixels with"),
        (["--loss", "torch:absent"], "has no function 'absent' for loss torch:absent."),
        (["--loss", "torch.nn.functional:nll"], "has no function 'nll' for loss torch.nn.functional:nll."),
        (["--loss", "torch.nn.functional:l1_loss", "--estimate"], "loss torch.nn.functional:l1_loss cannot be used wi"),
        (
            ["--loss", "torch.nn.functional:relu"],
            "loss torch.nn.functional:relu cannot be used with 10 classes (RuntimeError: Boolean",
        ),
        (["--augmentation", "none", "--flip", "True"], "--flip True: --augmentation none has no shift"),
        (["--temperature", "rho", "--temperatures", "0", "0.1", "--rho", "0.5"], "--rho 0.5: on the rho axis"),
        (["--estimate", "--gpus-per-trial", "1"], "this machine has no GPU to measure a step on"),
        (["--temperature", "sharpness"], "grid.py: --temperature sharpness: it is one of epochs, batch_size, rho, lr."),
        (["--load", "depth"], "grid.py: --load depth: it is one of density, width, data_dimension, data_amount."),
        (["--address", "127.0.0.1:1"], "--address 127.0.0.1:1: nothing answers there"),
        (["--address", "nonsense"], "--address nonsense"),
        (["--address", "ray://127.0.0.1:10001"], "--address ray://127.0.0.1:10001: a sweep joins no Ray from outside"),
        (["--epochs", "six"], "six"),
        (["--no-such-option"], "--no-such-option"),
        (["--out", "/proc/no/such"], "/proc/no/such cannot be written"),
        (["--out", f"{__file__}/below"], "is a file, or below one"),
        (["--out", "s3://bucket"], "s3://bucket names no folder"),
        (["--dashboard", "--address", "auto"], "--dashboard: the Ray at --address auto has its own"),
        (["--metrics-port", "80"], "--metrics-port 80: it is between 1024 and 65535"),
    ],
)
def test_bad_usage_is_one_sentence_and_exit_code_2(arguments, said, tmp_path):
    done = run_here("grid", "--preset", "smoke", "--out", tmp_path / "out", *arguments)
    assert done.returncode == 2
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_report_of_nothing(tmp_path):
    done = run_here("report", tmp_path)
    assert done.returncode == 2
    assert "holds no results of a sweep" in done.stderr
