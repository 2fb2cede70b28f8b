"""Bad inputs of all commands: the command, its words, and what is quoted of them. ``bad_files`` makes the files."""

from bad_files import ARRAYS, KEY, MODEL, PARQUET, SWEEPS, TABLES

GRID, TUNE, SELECT, REPORT, STATUS = "grid", "tune_temperature", "select_model", "report", "status"
EXPORT = "export"
SPARSITY, IMPORTANCE, PRUNABILITY = "sparsity", "importance", "prunability"
DIAGNOSE = "diagnose"
LANDSCAPE = "landscape"
PART = f"R/runs/{KEY}.parquet"
SMOKE = "--preset smoke --out new"
LONG = "x" * 300


def _each(command, template, values):
    """A case for each value, which takes the place of @ in the words, and is quoted by what is said."""
    for value in values:
        yield command, [word.replace("@", value) for word in template.split()], value


def _same(command, template, quoted):
    return command, template.split(), quoted


def _of_options():
    """Values of single options of a grid."""
    for option, values in {
        "epochs": "six 0 -1 1e3 6.5 10000001 nan 99999999999999999999 ٣x True",
        "batch-size": "0 12.5 all -5 99999999999",
        "lr": "0 -1 nan inf abc -inf 0,1",
        "momentum": "1 -0.1 nan 1.5",
        "betas": "0.9 high",
        "retrain-betas": "0.9 none",
        "weight-decay": "-1 inf nan no",
        "densities": "0 1.5 nan -0.1 inf 0.1,0.2 ten%",
        "temperatures": "7 2.5 nan inf 0 -2 hot " + "9" * 400,
        "dense-seeds": "-1 4294967296 1.5 one nan",
        "retrain-seeds": "1 x -1",
        "optimizer": "sgdd None",
        "schedule": "linear",
        "retrain-optimizer": "adam none",
        "retrain-lr": "0 nan fast",
        "retrain-epochs": "0 1.5",
        "warmup": "1 -0.1 nan",
        "precision": "float16",
        "pruner": "best",
        "load": "depth",
        "temperature": "heat",
        "widths": "2 nan",
        "data-dimensions": "4 0 2.5 nan",
        "data-amounts": "400 0 2.5 nan many",
        "generator": "pca random-manifold",
        "fixed": "epochs steps time",
        "dimension-neighbours": "2 0 -1 1e3 2.5 1167 many",
        "flip": "maybe TRUE 1",
        "crop-padding": "65 -1 two",
        "cka-rule": "both",
        "cka-threshold": "1.1 nan -0.5",
        "cka-margin": "-1 2 nan",
        "lmc-threshold": "0.05 0 nan -2 low AUTO automatic",
        "path-points": "1 2000 1.5",
        "cka-images": "1 many",
        "validation-fraction": "1 -0.1 nan 0.9999",
        "label-smoothing": "1 -0.5",
        "gradient-clipping": "-1 nan",
        "rho": "-1 nan inf",
        "cpus-per-trial": "0 nan 64000 -1 inf",
        "gpus-per-trial": "-1 nan 0.001",
        "max-failures": "-1 1.5",
        "checkpoint-seconds": "0 nan -3 soon",
        "keep": "all",
        "metrics-port": "80 65536 http",
        "data": "unknown digits-3px absent.npz folder.npz digits-first0 CIFAR10-7px R digits-manifold0",
        "model": "nothing resnet0 preresnet8-w0 absent_module:model os:absent os:path: vgg12 :",
        "preset": "cifar DIGITS 温度 results",
    }.items():
        yield from _each(GRID, f"{SMOKE} --{option} @", values.split())


def _of_command_lines():
    """What is typed wrongly."""
    for command, before in ((GRID, ""), (TUNE, ""), (SELECT, ""), (REPORT, "R "), (STATUS, "R "), (EXPORT, "R ")):
        yield _same(command, f"{before}--no-such-option", "--no-such-option")
        yield _same(command, f"{before}--storage-endpoit x", "--storage-endpoint")
        yield _same(command, f"{before}--storage-endpoint", "--storage-endpoint needs a value")
        yield _same(command, f"{before}stray", "stray")
        yield _same(command, f"{before}-x", "-x")
        yield command, [*before.split(), "--storage-endpoint", ""], "(nothing)"
        yield command, [*before.split(), "--bad\noption"], "\\n"
    for command in (REPORT, STATUS):
        yield command, [], "RESULTS (nothing)"
        for place in ("", " "):
            yield command, [place], "(nothing)"
        yield from _each(command, "@", ["absent", "absent.csv", "nothing", "R/sweep", LONG, "s3://", "s3://bucket"])
        yield from _each(command, "@", ["ftp://host/folder", "R#", "loop", "/dev/null"])
        yield _same(command, "R other", "other")
        yield _same(command, "s3://user:word@bucket/a", "s3://...@bucket")
    yield _same(STATUS, "R --watch=yes", "--watch=yes")
    yield _same(STATUS, "R --watch yes", "yes")
    yield _same(STATUS, "good.csv", "good.csv")
    yield _same(GRID, "--dry-run true", "true")
    yield _same(GRID, "--densities 0.1 --density 0.2", "--density 0.2")
    yield _same(GRID, f"{SMOKE} --densities 0.1 0.1", "0.1")
    yield _same(GRID, f"{SMOKE} --dense-seeds 1 2 1", "--dense-seeds 1")
    yield _same(GRID, f"{SMOKE} --densities", "(nothing)")
    yield _same(GRID, f"{SMOKE} --epochs --lr 0.1", "--epochs needs a value")
    yield _same(GRID, f"{SMOKE} --temperature rho", "--temperature rho")
    yield _same(GRID, f"{SMOKE} --load width", "--load width")
    yield _same(GRID, f"{SMOKE} --load width --widths 1 2", "--densities 0.05 0.4")
    yield _same(GRID, f"{SMOKE} --load width --widths 0.001 --densities 0.1 --model preresnet8", "0.001")
    dimensions = f"{SMOKE} --load data_dimension --densities 0.1 --data-dimensions"
    yield from _each(GRID, f"{dimensions} @", ["0", "65", "-1", "2.5", "nan", "99999999999999999999"])
    yield _same(GRID, f"{dimensions} 4 4", "4")
    yield _same(GRID, f"{SMOKE} --load data_dimension --data-dimensions 4", "--densities 0.05 0.4")
    yield _same(GRID, f"{SMOKE} --load data_dimension --densities 0.1", "--data-dimensions")
    yield _same(GRID, f"{dimensions} 4 --data digits-components9", "digits-components9-components4")
    amounts = f"{SMOKE} --load data_amount --densities 0.1 --data-amounts"
    yield from _each(GRID, f"{amounts} @", ["0", "1298", "-1", "2.5", "inf", "99999999999999999999"])
    yield _same(GRID, f"{amounts} 400 400", "400")
    yield _same(GRID, amounts, "--data-amounts (nothing)")
    yield _same(GRID, f"{amounts} 400 300 --data digits-first300", "amount 400 of 'digits-first300'")
    yield _same(GRID, f"{amounts} 400 --data digits-components4-first300", "400")
    yield _same(GRID, f"{amounts} 400 100 --dimension-neighbours 90", "--dimension-neighbours 90")
    yield _same(GRID, f"{SMOKE} --load data_amount --data-amounts 400", "--densities 0.05 0.4")
    yield _same(GRID, f"{SMOKE} --load data_amount --densities 0.1", "--data-amounts")
    sizes = f"{amounts} 1000 100 --temperature batch_size"
    yield _same(GRID, f"{sizes} --temperatures 16 91", "--temperatures 91")
    yield _same(GRID, f"{sizes} --temperatures 16 32 --batch-size 91", "--batch-size 91")
    for name in ("digits-components4-first1298", "digits-components4-first0", "digits-manifold4-first5-first3"):
        yield _same(GRID, f"{SMOKE} --data {name}", name)
    yield _same(GRID, f"{SMOKE} --data absent.npz-first100", "absent.npz")
    yield _same(GRID, f"{SMOKE} --temperature rho --temperatures 0 0.1 --rho 0.5", "--rho 0.5")
    yield _same(GRID, f"{SMOKE} --temperature rho --temperatures {'9' * 400} 1", "999")
    yield _same(GRID, f"{SMOKE} --temperature batch_size --temperatures 16 9999", "9999")
    yield _same(GRID, f"{SMOKE} --temperature batch_size --temperatures 16 9999 --fixed epochs", "9999")
    yield _same(TUNE, f"{SMOKE} --temperature rho --temperatures 0 0.1 --fixed epochs", "--fixed epochs")
    yield _same(GRID, f"{SMOKE} --dashboard --address auto", "--dashboard")
    yield _same(GRID, f"{SMOKE} --optimizer adamw --momentum 0.5", "--momentum 0.5")
    for option in ("--betas", "--retrain-betas"):
        adamw = f"{SMOKE} --optimizer adamw {option}"
        yield from _each(GRID, f"{adamw} @ 0.9", ["1", "-0.1", "nan", "inf"])
        yield from _each(GRID, f"{adamw} 0.9 @", ["1.0", "-1", "nan", "0,98"])
        yield _same(GRID, adamw, f"{option} (nothing)")
        yield _same(GRID, f"{adamw} 0.9", f"{option} 0.9: they are two")
        yield _same(GRID, f"{adamw} 0.9 0.98 0.99", f"{option} 0.9 0.98 0.99: they are two")
        yield _same(GRID, f"{SMOKE} {option} 0.9 0.98", f"{option} 0.9 0.98: optimizer sgd")
    mixed = "--optimizer sgd --retrain-optimizer adamw"
    yield _same(GRID, f"{SMOKE} {mixed} --betas 0.9 0.98 --retrain-betas 0.9 0.99", "--betas 0.9 0.98: optimizer sgd")
    yield _same(SPARSITY, "--optimizer adamw --retrain-betas 0.9 0.98", "--retrain-betas")
    for option in ("--milestones", "--retrain-milestones"):
        yield from _each(GRID, f"{SMOKE} {option} 0.5 @", ["0.5", "0.25", "1", "nan", "late", "75%"])
        yield _same(GRID, f"{SMOKE} {option} 0 0.5", f"{option} 0.0 0.5")
        yield _same(GRID, f"{SMOKE} {option}", f"{option} (nothing)")
        yield _same(GRID, f"{SMOKE} --schedule cosine {option} 0.5", f"{option} 0.5: schedule cosine does not use it")
    retrained = "--schedule step --retrain-schedule constant-linear --retrain-milestones 0.5"
    yield _same(GRID, f"{SMOKE} {retrained}", "--retrain-milestones 0.5: schedule constant-linear")
    yield _same(SPARSITY, "--retrain-milestones 0.5", "--retrain-milestones")
    yield _same(GRID, f"{SMOKE} --model vgg11", "vgg11")
    yield _same(GRID, f"{SMOKE} --estimate --gpus-per-trial 1", "no GPU")
    for command in (TUNE, SELECT):
        yield _same(command, f"{SMOKE} --temperature rho --temperatures {'9' * 400} 1", "999: it is too large")
    for option in ("preset", "out", "data", "model", "temperature", "lr", "temperatures", "keep", "data-folder"):
        yield GRID, ["--preset", "smoke", "--out", "new", f"--{option}", ""], "(nothing)"
    yield GRID, ["--preset", "   "], "(nothing)"
    yield _same(GRID, f"{SMOKE} --storage-endpoint http://127.0.0.1:9000", "storage endpoint")
    yield _same(GRID, f"{SMOKE} --densities 1e400", "1e400: it is too large")
    yield _same(GRID, f"{SMOKE} --temperatures 1e999", "1e999: it is too large")
    yield _same(GRID, f"{SMOKE} --data ~nobody/a.npz", "a.npz")
    yield _same(GRID, f"{SMOKE} --data ~no_such_person/a.npz", "a.npz")
    for command in (TUNE, SELECT):
        yield from _each(command, "--preset @", ["cifar", "digits,smoke"])
        yield from _each(command, f"{SMOKE} --density @", ["1.5", "nan", "low"])
        yield command, ["--preset", ""], "(nothing)"
        yield command, ["--replay", ""], "(nothing)"
        yield command, [*SMOKE.split(), "--json", ""], "(nothing)"


def _of_phases():
    """Tables and studies of phases, and what is of these or of regimes alone."""
    for results in ("phases.csv", "landscape"):
        yield from _each(REPORT, f"{results} --loss-threshold @", ["0", "-1", "nan", "inf", "low"])
        yield from _each(REPORT, f"{results} --mc-threshold @", ["0", "0.1", "-1.5", "nan", "near"])
        yield from _each(REPORT, f"{results} --panels @", ["lmc", "regime", "loss"])
        yield _same(REPORT, f"{results} --panels", "--panels (nothing): name some of")
        for option in ("--lmc-threshold -0.1", "--cka-rule relative", "--cka-margin 0.1", "--smooth"):
            yield _same(REPORT, f"{results} {option}", option)
    yield from _each(REPORT, "landscape --cka-threshold @", ["1.1", "nan", "high"])
    yield _same(REPORT, "landscape --temperature epochs", "--temperature epochs")
    yield _same(REPORT, "landscape --serve --table new.csv", "new.csv")
    yield _same(REPORT, "landscape --tensorboard new", "knows no training losses yet")
    yield _same(REPORT, "phases.csv --cka-threshold 0.5", "phases.csv has no column cka")
    for option in ("--serve", "--port 8051", "--tensorboard", "--temperature heat"):
        yield _same(REPORT, f"phases.csv {option}" + " new" * (option == "--tensorboard"), option)
    yield from _each(REPORT, "phases.csv --table @", ["phases.csv", "new.txt", PART])
    for results in ("good.csv", "R"):
        for option in ("--loss-threshold 0.1", "--mc-threshold -0.1"):
            yield _same(REPORT, f"{results} {option}", f"{option}: {results} is of regimes")
        yield from _each(REPORT, f"{results} --panels @", ["mc", "phase"])
    yield _same(REPORT, "study --mc-threshold -0.1", "--mc-threshold -0.1")
    for command in (TUNE, SELECT):
        yield _same(command, "--replay phases.csv", "phases.csv has no column density and no column lmc")


def _of_folders():
    """Where results go, and where they are."""
    for command in (GRID, TUNE, SELECT):
        places = [
            "loop",
            "loop/below",
            "good.csv",
            "good.csv/below",
            "tables",
            "/proc/no/such",
            "s3://bucket",
            "ftp://host/a",
            "R/artifacts",
        ]
        yield from _each(command, "--preset smoke --out @", [*places, "R/dense", "link_to_runs", "file://host/a", LONG])
    yield _same(GRID, f"{SMOKE} --data-folder R/runs", "R/runs")
    named = {"null_number": "lr is None", "text_number": "epochs is '6'"}
    for name in SWEEPS:
        for command, option in ((REPORT, ""), (STATUS, ""), (TUNE, "--replay "), (SELECT, "--replay ")):
            yield _same(command, f"{option}sweeps/{name}", named.get(name, f"sweeps/{name}/sweep.json"))
    for command, option in ((REPORT, ""), (STATUS, ""), (TUNE, "--replay "), (SELECT, "--replay ")):
        yield _same(command, f"{option}sweeps/folder", "sweeps/folder/sweep.json")
        for name in ("foreign", "foreign_text", "foreign_pairs", "foreign_below"):
            yield _same(command, f"{option}results_of/{name}", "mine.parquet")
        for name in ("damaged", "empty_part", "foreign_part"):
            yield _same(command, f"{option}results_of/{name}", f"runs/{KEY}.parquet")
        for name in ("siblings", "siblings_of_text", "siblings_of_null", "siblings_negative"):
            yield _same(command, f"{option}results_of/{name}", f"added_siblings/{KEY}.json")
        yield _same(command, f"{option}results_of/table_is_file", "results_of/table_is_file")


def _of_tables():
    """Tables of a user."""
    names = [f"{name}.csv" for name in TABLES if name not in ("one", "hole", "many")]
    names += [f"{name}.parquet" for name in (*PARQUET, "empty", "text", "truncated", "damaged", "twice")]
    names += ["binary.csv", "utf16.csv", "table.txt", "温度.csv", "absent.csv"]
    for name in names:
        yield _same(REPORT, f"tables/{name}", f"tables/{name}")
        yield _same(TUNE, f"--replay tables/{name}", f"tables/{name}")
    yield from _each(SELECT, "--replay tables/@", ["text.csv", "words.parquet", "empty.csv", "no_rows.parquet"])
    for command, option in ((REPORT, ""), (TUNE, "--replay "), (SELECT, "--replay ")):
        yield from _each(command, f"{option}@", ["folder.csv", "loop.csv", "dangling.csv", "weights/text.pt", "R/runs"])
        yield from _each(command, f"{option}@", [PART, "R/sweep.json", f"{LONG}.csv", "~absent.csv"])
        yield _same(command, f"{option}good.csv --temperature heat", "heat")
        yield _same(command, f"{option}R --temperature rho", "--temperature rho")
        yield _same(command, f"{option}rho --temperature epochs", "--temperature epochs")
        yield _same(command, f"{option}good.csv --storage-endpoint http://127.0.0.1:9000", "http://127.0.0.1:9000")
        yield _same(command, f"{option}R --storage-endpoint http://127.0.0.1:9000", "endpoint")
        yield _same(command, f"{option}good.csv --lmc-threshold 0", "--lmc-threshold 0.0")
        yield _same(command, f"{option}good.csv --cka-threshold nan", "--cka-threshold nan")
        yield _same(command, f"{option}good.csv --cka-margin 0.1", "--cka-margin 0.1")
        yield _same(command, f"{option}good.csv --cka-rule relative --cka-threshold 0.9", "--cka-threshold 0.9")
    yield _same(REPORT, "without_cka.csv --cka-threshold 0.9", "--cka-threshold 0.9")
    yield _same(TUNE, "--replay tables/one.csv", "--temperatures 1")
    yield _same(TUNE, "--replay tables/hole.csv", "epochs 2 at density 0.1")
    yield _same(SELECT, "--replay tables/hole.csv", "epochs 2 at density 0.1")
    yield _same(REPORT, "tables/many.csv", "100,000 cells")


def _of_replays():
    """Options of searches and selections."""
    for command in (TUNE, SELECT):
        yield _same(command, "--replay", "--replay needs a value")
        yield _same(command, "--replay --json a.json", "--replay needs a value")
        yield _same(command, "--replay three.csv --density 0.2", "--densities 0.2")
        yield _same(command, "--replay three.csv --density", "(nothing)")
        yield _same(command, "--replay three.csv --temperatures 1 9", "--temperatures 9")
        yield _same(command, "--replay three.csv --lr 0.5", "--lr 0.5")
        yield _same(command, "--replay R --epochs 7", "--epochs 7")
        yield _same(command, "--replay R --out new", "--out new")
        yield _same(command, "--replay R --preset smoke", "--preset smoke")
        yield _same(command, "--replay R --cpus-per-trial 2", "--cpus-per-trial 2")
        yield _same(command, "--replay R --alongside", "--alongside")
        yield _same(command, "--replay three.csv --select-by colour", "colour")
    yield _same(TUNE, "--replay three.csv --start 5", "--start 5")
    yield _same(TUNE, "--replay three.csv --start hot", "--start hot")
    yield _same(TUNE, "--replay three.csv --start nan", "--start nan")
    yield from _each(TUNE, "--replay three.csv --strategy @", ["guess", "bisect"])
    yield from _each(TUNE, "--replay three.csv --choose @", ["all", "weigh"])
    yield _same(TUNE, "--replay three.csv --choose boundary --select-by test_error", "--select-by test_error")
    yield _same(TUNE, f"{SMOKE} --choose boundary --select-by validation_error", "--select-by validation_error")
    yield _same(TUNE, "--replay three.csv --most-siblings 4", "--most-siblings 4")
    yield _same(TUNE, "--replay three.csv --select-by regime", "--select-by regime")
    yield _same(TUNE, "--replay three.csv --budget 1", "--budget 1")
    yield _same(TUNE, "--replay R --budget 1", "--budget 1")
    yield _same(TUNE, f"{SMOKE} --most-siblings -1", "--most-siblings -1")
    yield from _each(TUNE, f"{SMOKE} --budget @", ["0", "-1", "x", "nan", "inf"])
    yield _same(TUNE, f"{SMOKE} --temperatures 2", "--temperatures 2")
    yield _same(TUNE, f"{SMOKE} --select-by colour", "--select-by colour")
    yield _same(SELECT, f"{SMOKE} --select-by test_error", "test_error")
    own = f"{SMOKE} --checkpoints weights/text.pt"
    yield _same(SELECT, f"{SMOKE} --checkpoints", "--checkpoints (nothing)")
    yield SELECT, [*SMOKE.split(), "--checkpoints", ""], "(nothing)"
    yield _same(SELECT, "--checkpoints weights/text.pt --replay R", "--checkpoints")
    for option in ("temperatures 2", "dense-seeds 1", "temperature lr", "rho 0.1", "temperatures 2 6"):
        yield _same(SELECT, f"{own} --{option}", f"--{option}")
    yield _same(SELECT, f"{own} --lr 0.2 --retrain-lr 0.1", "--lr 0.2")
    yield _same(SELECT, f"{SMOKE} --json weights/own.json --checkpoints weights/own.json", "weights/own.json")


def _of_data():
    """Data of a user, and models."""
    names = [*ARRAYS, "empty", "text", "truncated", "array"]
    named = {"unsigned": str(2**64 - 1), "unsigned_test": str(2**63)}
    for name in names:
        yield _same(GRID, f"{SMOKE} --data data/{name}.npz", named.get(name, name))
    checkpoints = ["weights/text.pt", "weights/empty.pt", "folder.pt", "absent.pt", "good.csv", f"R/{MODEL}"]
    for path in checkpoints:
        yield _same(SELECT, f"--preset smoke --out nothing --checkpoints {path}", path)


def _of_texts():
    """Pairs of sentences, and what does not go with them."""
    text = f"{SMOKE} --model transformer1x32-h2 --data-folder vocabularies_kept --data texts"
    for name, said in {
        "fewer": "train.xx has 60 lines and train.yy has 59",
        "empty_line": "train.yy has an empty line, 7",
        "blank_line": "test.xx has an empty line, 2",
        "empty_file": "train.xx is empty",
        "one_newline": "test.yy is empty",
        "utf16": "train.xx is not UTF-8 in line 1",
        "latin": "test.yy is not UTF-8 in line 3",
        "no_train": "no file",
        "no_test": "test.xx",
        "half_valid": "valid.yy",
        "long": "line 60 of",
        "long_test": "1026 tokens",
        "absent": "no folder",
        "good/train.xx": "no folder",
    }.items():
        yield _same(GRID, f"{text}/{name}:xx-yy-bpe29", said)
    for ends, said in {
        "xx-yy": "a vocabulary of 8000 is larger than the text allows; take 29 or fewer",
        "xx-yy-bpe30": "take 29 or fewer",
        "xx-yy-unigram500": "or fewer",
        "xx-yy-bpe16": "take 17 or more",
        "xx-yy-bpe1": "a vocabulary of 1 has no room",
        "xx-yy-unigram4": "take 17 or more",
        "xx-yy-bpe0": "-bpe0",
        "xx-yy-bpe1000001": "1000000",
        "xx-yy-words0-bpe29": "-words0",
        "xx-yy-words2-bpe29": "at most 2 words",
        "xx-yy-first0-bpe29": "-first0",
        "xx-yy-first61-bpe29": "60 training pairs, not 61",
        "xx-yy-bpe29-words5": "'-bpe29-words5'",
        "xx-yy-char29": "'-char29'",
        "xx-yy-bpe": "'-bpe'",
        "xx-yy-BPE29": "'-BPE29'",
        "xx-xx-bpe29": "xx-xx",
        "xx-zz-bpe29": "train.zz",
        "XX-YY-bpe29": "train.XX",
        "xx": "texts/good:xx",
        "xx-yy-bpe29-components4": "-components4",
    }.items():
        yield _same(GRID, f"{text}/good:{ends}", said)
    good = f"{text}/good:xx-yy-bpe29"
    for options, said in {
        "--model preresnet8": "'preresnet8' classifies images, and the data are sentences",
        "--model transformer1x32-h5": "5 heads",
        "--model transformer1x32-h0": "0 heads",
        "--model transformer0x32-h2": "0 layers",
        "--model transformer1x0-h2": "width 0",
        "--model transformer1x32": "transformer1x32",
        "--load width --densities 0.1 --widths 0.5 0.3": "width 9.6",
        "--load width --densities 0.1 --widths 0.03125": "2 heads",
        "--temperature batch_size --temperatures 64 128": "--temperature batch_size",
        "--augmentation crop-flip": "--augmentation crop-flip",
        "--augmentation none": "--augmentation none",
        "--flip true": "--flip True",
        "--crop-padding 4": "--crop-padding 4",
        "--image-size 8": "--image-size 8",
        "--load data_dimension --densities 0.1 --data-dimensions 4": "--load data_dimension",
        "--load data_amount --densities 0.1 --data-amounts 40": "--load data_amount",
        "--validation-fraction 0.999": "leaves none of 60 sentences",
        "--pruner filter-magnitude": "--pruner filter-magnitude",
        "--pruner filter-fisher": "MultiheadAttention",
        "--batch-size 7": "--batch-size 7",
        "--batch-size 64 --retrain-batch-size 7": "--retrain-batch-size 7",
    }.items():
        yield _same(GRID, f"{good} {options}", said)
    yield _same(GRID, f"{text}/with_valid:xx-yy-bpe29 --validation-fraction 0.1", "1 validation samples of its own")
    yield _same(GRID, f"{SMOKE} --model transformer1x32-h2", "translates, and the data are images")
    yield _same(GRID, f"{good} --dimension-neighbours 5", "--dimension-neighbours 5: sentences")
    study = good.removeprefix(SMOKE)
    yield _same(
        PRUNABILITY, f"--out new {study} --data-dimensions 4 8", "--data-dimensions 4 8: a dimension is of images"
    )
    for command in (TUNE, SELECT):
        yield _same(command, f"{text}/fewer:xx-yy-bpe29", "train.xx has 60 lines and train.yy has 59")
        yield _same(command, f"{good} --batch-size 7", "--batch-size 7")


def _of_outputs():
    """Files that are to be written where they must not."""
    tables = [PART, f"other/pairs/{KEY}.parquet", f"./R/../R/runs/{KEY}.parquet", f"link_to_runs/{KEY}.parquet"]
    tables += [
        f"link_to_results/runs/{KEY}.parquet",
        "R/runs/new.parquet",
        "other/artifacts/new.csv",
        "R/.merged/a.csv",
    ]
    wrong = ["new.txt", "new", "R", "folder.csv", "s3://bucket/a.csv", "absent/..", LONG]
    yield from _each(REPORT, "R --table @", [*tables, *wrong, "good.csv/a.csv", "new.html"])
    yield from _each(REPORT, "good.csv --table @", [*tables, "good.csv", "./good.csv", "R/../good.csv", f"{LONG}.csv"])
    pictures = ["new.svgz", "new.jpg", "new.eps", "new", "R/sweep.json", PART, f"R/{MODEL}", "other/runs/new.html"]
    pictures += ["R/artifacts/new.html", "link.html", "R/.driver/new.html", "folder.html", "s3://bucket/a.html", ".."]
    pictures += ["good.csv/a.html", "/proc/no/a.html", "R/added_siblings/a.html"]
    for command, option in ((REPORT, "R --out"), (REPORT, "good.csv --out"), (TUNE, "--replay R --picture")):
        yield from _each(command, f"{option} @", pictures)
    yield from _each(TUNE, f"{SMOKE} --picture @", ["new.svgz", f"other/{MODEL}", "other/dense/new.html"])
    plain = ["R/sweep.json", "R/progress.json", "other/sweep.json", f"other/added_siblings/{KEY}.json", "link.json"]
    plain += ["link_to_results/sweep.json", "R/../R/sweep.json", "new.txt", "new", "folder.json", "good.csv"]
    for command in (TUNE, SELECT):
        yield from _each(command, "--replay R --json @", plain)
        yield from _each(command, "--replay three.csv --json @", ["R/sweep.json", "three.csv"])
        yield from _each(command, f"{SMOKE} --json @", ["other/sweep.json", "."])
    events = ["R", "R/runs", "other", "R/artifacts/new", "link_to_runs", "good.csv", "s3://bucket/a", "/proc/no/such"]
    yield from _each(REPORT, "R --tensorboard @", [*events, "good.csv/a", "R/added_siblings"])
    yield _same(REPORT, "good.csv --tensorboard new", "--tensorboard")
    yield _same(REPORT, "good.csv --serve", "--serve")
    yield _same(REPORT, "R --serve --out new.html", "new.html")
    yield _same(REPORT, "R --serve --tensorboard new", "new")
    yield from _each(REPORT, "R --port @", ["8051", "http"])
    yield from _each(REPORT, "R --serve --port @", ["-1", "65536", "http"])


def _of_exports():
    """A model that is to leave the results."""
    yield from _each(
        EXPORT, "@ --out new.pt", ["absent", "nothing", "good.csv", "R/sweep", LONG, "s3://bucket", "loop"]
    )
    yield from _each(EXPORT, "sweeps/@ --out new.pt", ["null_list", "deep", "unknown_model"])
    yield _same(EXPORT, "--out new.pt", "RESULTS (nothing)")
    yield _same(EXPORT, "R --best --density 0.4", "--out (nothing)")
    outs = [
        "R",
        "new.json",
        f"R/{MODEL}",
        "R/artifacts/new.pt",
        "link_to_runs/new.pt",
        "s3://bucket/a.pt",
    ]
    outs += ["weights/text.pt", "weights/own.pt", "good.csv", "good.csv/a.pt", "..", "folder.pt", "/proc/no/a.pt", LONG]
    yield from _each(EXPORT, "R --best --density 0.4 --out @", outs)
    yield from _each(EXPORT, "R --best --out new.pt --density @", ["0.3", "nan", "ten%"])
    yield from _each(EXPORT, "R --best --out new.pt --density 0.4 --temperature @", ["7", "inf", "hot"])
    yield from _each(EXPORT, "R --best --out new.pt --density 0.4 --format @", ["keras", "onnx", "safetensors"])
    for option in ("--dense-seed 1", "--retrain-seed 1", "--width 2", "--data-dimension 4", "--data-amount 400"):
        yield _same(EXPORT, f"R --best --out new.pt --density 0.4 {option}", option)
    named = "R --out new.pt --density 0.4 --temperature 2"
    for option in ("--dense-seed 9", "--retrain-seed 9", "--dense-seed one", "--best=yes"):
        yield _same(EXPORT, f"{named} {option}", option)
    yield _same(EXPORT, "R --best --density 0.4 --out R/sweep.pt", "R/sweep.json")
    yield _same(EXPORT, "R --out new.pt --density 0.4", "--temperature (nothing)")
    yield _same(EXPORT, "R --out new.pt --best", "--density (nothing)")
    yield _same(EXPORT, named, "--keep siblings")
    yield _same(EXPORT, f"{named} --data-folder R/runs", "R/runs")
    yield _same(EXPORT, "results_of/damaged --out new.pt --density 0.05 --best", f"runs/{KEY}.parquet")


def _of_studies():
    """Studies: what they compare, and folders of other ones."""
    for command in (SPARSITY, IMPORTANCE, PRUNABILITY):
        yield from _each(command, "--preset @", ["smoke", "paper"])
        yield from _each(command, "--out @", ["good.csv", "R/dense", "tables"])
        yield from _each(command, "@", ["absent", "nothing", "good.csv", "R/sweep", "s3://"])
        yield _same(command, "R --epochs 3", "--epochs 3")
        yield _same(command, "R --dry-run", "--dry-run")
        yield from _each(command, "--out new --picture @", ["new.txt", "R/sweep.json", "folder.html", "/proc/no/a.pdf"])
        yield _same(command, "--load density", "--load")
        yield from _each(command, "--out new --epochs @", ["0", "six"])
    for command in (SPARSITY, IMPORTANCE):
        yield _same(command, "R", "R holds the results of a grid")
        yield _same(command, "--pruner lottery", "--pruner")
    for command in (IMPORTANCE, PRUNABILITY):
        yield _same(command, "study", "study holds the results of sparsity.py")
        yield from _each(command, "--out new --densities @", ["0", "1.5"])
    for command, option in ((REPORT, ""), (EXPORT, "--out new.pt"), (TUNE, "--replay"), (SELECT, "--replay")):
        words = ["study", *option.split()] if command in (REPORT, EXPORT) else [option, "study"]
        yield command, words + ["--panels", "lmc"] * (command == REPORT), "sparsity.py"
    yield from _each(SPARSITY, "--out new --rounds @", ["0", "-1", "1001", "2.5"])
    yield from _each(SPARSITY, "--out new --methods @", ["sap", "gradual", "lottery-neuron"])
    yield _same(SPARSITY, "--out new --methods", "--methods (nothing)")
    yield _same(SPARSITY, "--out new --methods sap-layer sap-layer", "sap-layer sap-layer")
    yield _same(SPARSITY, "--out new --methods sap-layer --prune-share 0.5", "--prune-share 0.5")
    yield _same(SPARSITY, "--out new --methods lottery-layer --sap-p 0.5", "--sap-p 0.5")
    yield from _each(SPARSITY, "--out new --sap-p @", ["1", "0", "nan"])
    yield _same(SPARSITY, "--densities 0.1", "--densities")
    yield from _each(IMPORTANCE, "--out new --measures @", ["magnitude", "filter-l1", "lottery"])
    yield _same(IMPORTANCE, "--out new --measures filter-bn filter-bn", "filter-bn filter-bn")
    yield from _each(IMPORTANCE, "--out new --rounds @", ["0", "1001", "one"])
    yield _same(IMPORTANCE, "--out new --rounds 2 2", "2 2")
    yield _same(IMPORTANCE, "--out new --rounds 1 --prune-epochs 2", "--prune-epochs 2")
    yield _same(IMPORTANCE, "--out new --preset fashion-importance --model preresnet8-w0.001", "0.001")
    yield from _each(PRUNABILITY, "--out new --tolerance @", ["0", "1", "-0.1", "nan", "inf", "low"])
    yield from _each(PRUNABILITY, "R --tolerance @", ["0", "1", "nan"])
    yield from _each(PRUNABILITY, "--out new --data digits --data-dimensions @", ["0", "65", "2.5", "nan", "-1"])
    yield _same(PRUNABILITY, "--out new --data-dimensions 4 4", "--data-dimensions 4")
    twice = "--out new --data digits-components4 --data-dimensions 2"
    yield _same(PRUNABILITY, twice, "digits-components4-components2")
    yield from _each(PRUNABILITY, "--out new --generator @", ["pca", "None1"])
    yield from _each(PRUNABILITY, "--out new --data digits --dimension-neighbours @", ["2", "0", "1168", "many"])


def _of_diagnoses():
    """One training: what it is read with, and its checkpoints."""
    yield from _each(DIAGNOSE, "--preset @", ["digits", "smoke"])
    yield from _each(DIAGNOSE, "--out @", ["good.csv", "R/dense", "tables"])
    yield from _each(DIAGNOSE, "@", ["absent", "nothing", "good.csv", "R/sweep", "s3://"])
    yield _same(DIAGNOSE, "R", "R holds the results of a grid")
    yield _same(DIAGNOSE, "study", "study holds the results of sparsity.py")
    yield _same(DIAGNOSE, "R --epochs 3", "--epochs 3")
    yield _same(DIAGNOSE, "R --checkpoints a.pt", "--checkpoints a.pt")
    for option in ("--load width", "--widths 2", "--temperature lr", "--temperatures 3", "--pruner lottery"):
        yield _same(DIAGNOSE, option, option.split()[0])
    for option, values in {
        "json": "new.txt R/sweep.json folder.html /proc/no/a.json",
        "epochs": "0 six",
        "lr": "0 nan",
        "loss-threshold": "0 -0.1 nan inf low",
        "mc-threshold": "0 0.01 -2 nan high",
        "cka-threshold": "-0.1 1.1 nan alike",
        "density": "0 1.5 nan -0.1 ten%",
        "density 0.1 --lmc-threshold": "0 0.05 nan -2 auto",
        "density 0.1 --sibling-cka-threshold": "1.1 nan -0.5",
        "dense-seeds": "1 -1 one",
        "batch-size": "0 1168",
        "curve-epochs": "0 -1 2.5",
        "curve-lr": "0 nan fast",
        "curve-batch-size": "0 many",
        "hessian-images": "0 1168 many",
        "hessian-products": "5 many",
        "data": "unknown digits-first0 digits-first99999 absent.npz",
        "model": "preresnet8-w0.001 preresnet8-w0.3 nothing linear-w2 transformer2x64-h4",
    }.items():
        yield from _each(DIAGNOSE, f"--out new --{option} @", values.split())
    yield _same(DIAGNOSE, "--out new --dense-seeds 1 1", "--dense-seeds 1")
    yield _same(DIAGNOSE, "--out new --lmc-threshold -0.1", "--lmc-threshold -0.1")
    yield _same(DIAGNOSE, "--out new --sibling-cka-threshold 0.9", "--sibling-cka-threshold 0.9")
    yield _same(DIAGNOSE, "--out new --checkpoints", "--checkpoints (nothing)")
    told = "--lr 0.1 --batch-size 32 --epochs 20"
    yield _same(DIAGNOSE, "--out new --checkpoints weights/text.pt weights/empty.pt --lr 0.1", "--batch-size")
    yield _same(DIAGNOSE, f"--out new {told} --checkpoints weights/text.pt", "weights/text.pt")
    for path in ("weights/text.pt", "weights/empty.pt", "folder.pt", "absent.pt", "good.csv", f"R/{MODEL}"):
        yield _same(DIAGNOSE, f"--out nothing {told} --checkpoints {path} other.pt", path)
    own = f"--out new {told} --checkpoints weights/text.pt weights/empty.pt"
    yield _same(DIAGNOSE, f"{own} --dense-seeds 1 2", "--dense-seeds 1 2")
    yield _same(DIAGNOSE, f"{own} --rho 0.1", "--rho 0.1")
    yield _same(DIAGNOSE, f"{own} weights/own.json --json weights/own.json", "weights/own.json")
    yield _same(DIAGNOSE, "--out new --picture new.svg", "--picture")
    text = "--model transformer1x32-h2 --data-folder vocabularies_kept --data texts/good:xx-yy-bpe29 --batch-size 500"
    yield _same(DIAGNOSE, f"--out new {text}", "sentences cannot be mixed up")


def _of_landscapes():
    """The study of dense models: axes, curves, the Hessian, the borders of the phases, and what it has not."""
    yield from _each(LANDSCAPE, "--preset @", ["smoke", "digits", "paper"])
    yield from _each(LANDSCAPE, "--out @", ["good.csv", "R/dense", "tables"])
    yield from _each(LANDSCAPE, "@", ["absent", "nothing", "good.csv", "R/sweep", "s3://"])
    yield _same(LANDSCAPE, "R", "R holds the results of a grid")
    yield _same(LANDSCAPE, "study", "study holds the results of sparsity.py")
    for command in (SPARSITY, IMPORTANCE, PRUNABILITY):
        yield _same(command, "landscape", "landscape holds the results of landscape.py")
    for option in ("--epochs 3", "--curve-epochs 3", "--hessian-images 50", "--dry-run"):
        yield _same(LANDSCAPE, f"landscape {option}", f"{option}: with RESULTS nothing is run")
    yield from _each(LANDSCAPE, "--out new --picture @", ["new.txt", "R/sweep.json", "folder.html", "/proc/no/a.pdf"])
    for option, values in {
        "epochs": "0 six",
        "dense-seeds": "1 -1 one",
        "widths": "0 -1 nan wide",
        "load": "density depth",
        "fixed": "epochs steps time",
        "curve-epochs": "0 -1 2.5 10000001 many",
        "curve-lr": "0 -0.1 nan inf fast",
        "curve-batch-size": "0 -1 2.5 10000001 many",
        "hessian-images": "0 -1 2.5 10000001 many",
        "hessian-products": "5 0 -1 6.5 10000001 many",
        "path-points": "1 1002",
        "cka-images": "1 0",
        "data": "unknown digits-first0 digits-first99999 absent.npz",
        "model": "nothing resnet0 preresnet8-w0.001 linear",
    }.items():
        yield from _each(LANDSCAPE, f"--out new --{option} @", values.split())
    for place in ("--out new", "landscape"):
        yield from _each(LANDSCAPE, f"{place} --loss-threshold @", ["0", "-1", "nan", "inf", "low"])
        yield from _each(LANDSCAPE, f"{place} --mc-threshold @", ["0", "0.1", "-1.5", "nan", "near"])
        yield from _each(LANDSCAPE, f"{place} --cka-threshold @", ["1.1", "-0.1", "nan", "alike"])
    yield _same(LANDSCAPE, "--out new --dense-seeds 1 2 1", "--dense-seeds 1")
    yield _same(LANDSCAPE, "--out new --widths 1 0.001", "0.001")
    yield _same(LANDSCAPE, "--out new --widths 1 1", "--widths 1")
    amounts = "--out new --load data_amount --data-amounts 400"
    yield _same(LANDSCAPE, f"{amounts} --widths 1 2", "--widths")
    for option in ("densities 0.1", "density 0.1", "pruner lottery", "retrain-epochs 3", "retrain-seeds 1 2"):
        yield _same(LANDSCAPE, f"--out new --{option}", f"--{option.split()[0]}")
    for option in ("lmc-threshold -0.1", "cka-rule relative", "cka-margin 0.1", "prune-rounds 3", "sap-p 0.5"):
        yield _same(LANDSCAPE, f"--out new --{option}", f"--{option.split()[0]}")
    text = "--model transformer1x32-h2 --data-folder vocabularies_kept --data texts/good:xx-yy-bpe29 --batch-size 500"
    yield _same(LANDSCAPE, f"--out new {text}", "sentences cannot be mixed up")
    sizes = "--out new --temperature batch_size --fixed epochs"
    yield _same(LANDSCAPE, f"{sizes} --temperatures 16 9999", "9999")
    paper = (
        "--preset paper-phases-data --out new --data digits --model preresnet8-w0.25 --batch-size 16 --temperatures 16"
    )
    yield from _each(LANDSCAPE, f"{paper} --data-amounts @", ["0", "1298", "-1", "2.5", "inf"])
    yield _same(LANDSCAPE, f"{paper} --data-amounts 400 400", "400")


CASES = [
    *_of_landscapes(),
    *_of_diagnoses(),
    *_of_studies(),
    *_of_options(),
    *_of_command_lines(),
    *_of_folders(),
    *_of_tables(),
    *_of_phases(),
    *_of_replays(),
    *_of_data(),
    *_of_texts(),
    *_of_outputs(),
    *_of_exports(),
]
