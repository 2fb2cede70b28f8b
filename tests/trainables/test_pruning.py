import subprocess
import sys
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F  # noqa: N812

from metrics.sparsity import density
from sweeps import grid
from sweeps.spec.errors import UsageError
from sweeps.spec.presets import PRESETS
from trainables.models import build
from trainables.models.transformer import Transformer
from trainables.pruning import RULES, Method, Rule, WeightsRule, prune
from trainables.pruning.context import Pruned
from trainables.pruning.magnitude import all_layers, per_layer
from trainables.pruning.prunable import prunable_weights
from trainables.pruning.ranking import highest_of_all
from trainables.stages import DenseRun, Label, Point, PointStage, finish
from trainables.stages.dense import dense_file
from trainables.stages.machine import Machine, task_of
from trainables.stages.pruning_context import DenseModelContext
from trainables.stages.siblings import kept_siblings
from trainables.storage import artifacts
from trainables.storage.artifacts import ArtifactError
from trainables.storage.local_folder import LocalFolder
from trainables.training.recipe import Recipe

NAME = "preresnet8-w0.5"
DENSE = DenseRun("digits", 0.7, NAME, Recipe(epochs=2, batch_size=64, lr=0.05), 1)
FROZEN = Recipe(epochs=1, batch_size=64, lr=1e-30)
POINT = Point(DENSE, 2, 0.2, "magnitude-uniform", FROZEN)
CPU = torch.device("cpu")
NOWHERE = Machine(LocalFolder("nowhere"), CPU)
PLAIN = [name for name, rule in RULES.items() if not isinstance(rule, Method)]


@pytest.fixture
def machine(tmp_path):
    return Machine(LocalFolder(tmp_path), CPU)


@pytest.fixture
def add(monkeypatch):
    """Adds a rule, as a line in the registry does."""

    def line(name, function, kind=Rule, **options):
        monkeypatch.setitem(RULES, name, kind(f"{__name__}:{function.__name__}", "what a test keeps", **options))

    return line


def context(point=POINT, weights=0):
    """Of a model that was not trained."""
    torch.manual_seed(weights)
    state = build(NAME, 1, 10).state_dict()
    return DenseModelContext(
        point.dense, point.epoch, point.density, task_of(point.dense, NOWHERE), lambda epoch: state
    )


def siblings(machine, point):
    """What comes of a point whose retraining changes nothing: the pruned model, and its masks."""
    stage = PointStage(point, (1, 2), Label("epochs", 2, "density", point.density))
    for need in stage.needs:
        finish(need.execute(machine))
    rows = finish(stage.execute(machine))
    assert {row["status"] for row in rows["runs"]} == {"ok"}
    first, second = kept_siblings(machine.folder, point.key).values()
    assert all(torch.equal(first["model"][name], second["model"][name]) for name in first["masks"])
    return first["model"], first["masks"]


def same(masks, others):
    return masks.keys() == others.keys() and all(torch.equal(masks[name], others[name]) for name in masks)


def test_preresnet20_at_density_5_percent_keeps_the_published_counts():
    torch.manual_seed(0)
    masks = per_layer(prunable_weights(build("preresnet20", 3, 10)), 0.05)
    assert int(masks["conv.weight"].sum()) == 22
    assert sum(int(mask.sum()) for mask in masks.values()) == 13_512


def test_attention_is_pruned_and_the_classifier_is_not():
    nn = torch.nn
    model = nn.Sequential(nn.TransformerEncoderLayer(8, 2, 16, batch_first=True), nn.Linear(8, 3))
    attention = ["0.self_attn.in_proj_weight", "0.self_attn.out_proj.weight"]
    assert sorted(prunable_weights(model)) == sorted([*attention, "0.linear1.weight", "0.linear2.weight"])


@pytest.mark.parametrize(("width", "weights"), [(128, 917_504), (64, 229_376)])
def test_all_of_a_transformer_is_pruned_but_its_output_layer_and_embeddings(width, weights):
    """By hand, of 2 layers each: an encoder layer has 12 width², attention and feed-forward, a decoder layer 16."""
    assert weights == 2 * (12 + 16) * width**2
    found = prunable_weights(Transformer(2, width, 4, 50))
    assert sum(weight.numel() for weight in found.values()) == weights
    attention = ["encoder.layers.{}.self_attn", "decoder.layers.{}.self_attn", "decoder.layers.{}.multihead_attn"]
    names = [f"{each}.{name}" for each in attention for name in ("in_proj_weight", "out_proj.weight")]
    names += [f"{each}.layers.{{}}.linear{i}.weight" for each in ("encoder", "decoder") for i in (1, 2)]
    assert sorted(found) == sorted(name.format(layer) for name in names for layer in range(2))


@pytest.mark.parametrize(
    ("stays", "pruned"),
    [
        (("stem",), ["body.0.weight", "body.1.weight", "head.weight"]),
        (["body.0", "head"], ["stem.weight", "body.1.weight"]),
        (("body",), ["stem.weight", "head.weight"]),  # and what is in it
        (("bod",), None),
        ((), ["stem.weight", "body.0.weight", "body.1.weight", "head.weight"]),
        (None, ["stem.weight", "body.0.weight", "body.1.weight"]),
        ("head", None),
        ((3,), None),
    ],
)
def test_a_model_may_say_what_is_not_pruned(stays, pruned):
    nn = torch.nn
    model = nn.Sequential()
    model.stem, model.body, model.head = (
        nn.Linear(4, 4),
        nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4)),
        nn.Linear(4, 2),
    )
    model.not_pruned = stays
    if pruned is None:
        with pytest.raises(ValueError, match=r"its not_pruned (names|is) "):
            prunable_weights(model)
    else:
        assert list(prunable_weights(model)) == pruned


@pytest.mark.parametrize("rule", [per_layer, all_layers])
def test_exactly_the_largest_are_kept(rule):
    torch.manual_seed(0)
    weights = {"a": torch.randn(7, 5), "b": 3 * torch.randn(4, 4, 3)}
    masks = rule(weights, 0.3)
    groups = [[name] for name in weights] if rule is per_layer else [list(weights)]
    for names in groups:
        size = torch.cat([weights[name].abs().flatten() for name in names])
        keep = torch.cat([masks[name].flatten() for name in names])
        assert int((~keep).sum()) == round(0.7 * len(size))
        assert size[keep].min() > size[~keep].max()
    assert all(masks[name].shape == weights[name].shape for name in weights)


def test_global_pruning_may_divide_the_layers_unevenly():
    masks = all_layers({"small": torch.full((10,), 0.1), "large": torch.ones(10)}, 0.5)
    assert not masks["small"].any()
    assert masks["large"].all()


def test_ties_are_broken_by_position_and_never_keep_more():
    masks = per_layer({"w": torch.tensor([1.0, -1.0, 1.0, -1.0])}, 0.5)
    assert masks["w"].tolist() == [False, False, True, True]


@pytest.mark.parametrize(("density", "kept"), [(0.25, 2), (0.35, 4), (0.3, 3), (0.96, 10), (0.04, 0), (1.0, 10)])
def test_how_many_go_is_rounded_and_a_half_to_even(density, kept):
    assert int(per_layer({"w": torch.arange(10)}, density)["w"].sum()) == kept


@pytest.mark.parametrize("name", PLAIN)
def test_density_one_keeps_everything_and_a_tiny_one_may_keep_nothing(name):
    for wanted, found in ((1.0, 1), (1e-6, 0)):
        assert density(prune(name, context(replace(POINT, density=wanted))).masks) == found


@pytest.mark.parametrize("name", PLAIN)
def test_every_rule_keeps_the_density_and_gives_the_dense_weights(name):
    pruned = prune(name, context())
    total = sum(mask.numel() for mask in pruned.masks.values())
    assert density(pruned.masks) == pytest.approx(0.2, abs=len(pruned.masks) / total)
    assert same(pruned.state, context().state)


def test_only_convolutions_are_prunable():
    names = prunable_weights(build(NAME, 1, 10))
    assert "blocks.1.shortcut.weight" in names
    assert "conv.weight" in names
    assert not any("norm" in name or "linear" in name or name.endswith("bias") for name in names)


def test_random_keeps_as_many_of_each_layer_as_magnitude_does():
    for wanted in (0.03, 0.05, 0.2, 0.5):
        of = context(replace(POINT, density=wanted))
        ours, magnitudes = prune("random", of).masks, prune("magnitude-uniform", of).masks
        assert {name: int(mask.sum()) for name, mask in ours.items()} == {
            name: int(mask.sum()) for name, mask in magnitudes.items()
        }


def test_random_depends_on_the_dense_seed_alone():
    """Not on weights, temperature, the process's own random numbers, or what was drawn before."""
    of = context()
    masks = prune("random", of).masks
    torch.manual_seed(99)
    assert same(prune("random", of).masks, masks)
    hotter = replace(POINT, epoch=1, dense=replace(DENSE, recipe=replace(DENSE.recipe, lr=0.5)))
    assert same(prune("random", context(hotter, weights=7)).masks, masks)
    assert not same(prune("random", context(replace(POINT, dense=replace(DENSE, seed=2)))).masks, masks)


def test_random_is_the_same_everywhere():
    few = prune("random", context(replace(POINT, density=0.1))).masks["conv.weight"]
    assert few.flatten().nonzero().flatten().tolist() == [8, 28, 40, 42, 52, 62, 66]


def test_random_at_a_larger_density_keeps_all_that_it_kept_at_a_smaller_one():
    few, more = (prune("random", context(replace(POINT, density=wanted))).masks for wanted in (0.1, 0.3))
    assert all((more[name] | ~few[name]).all() for name in few)


def test_random_draws_every_weight_as_often_and_seeds_and_layers_independently():
    """Within five standard deviations of a binomial count (the bounds are loose: counts per layer are fixed)."""
    seeds = range(100)
    drawn = [prune("random", context(replace(POINT, dense=replace(DENSE, seed=seed)))).masks for seed in seeds]
    often = torch.stack([torch.cat([mask.flatten() for mask in masks.values()]) for masks in drawn]).double()
    share = density(drawn[0])
    assert (often.mean(0) - share).abs().max() < 5 * (share * (1 - share) / len(seeds)) ** 0.5
    both = (often[:-1] * often[1:]).mean().item()
    assert both == pytest.approx(share**2, abs=5 * (share**2 / often[1:].numel()) ** 0.5)
    shapes = {name: mask.shape for name, mask in drawn[0].items()}
    alike = [name for name in shapes if shapes[name] == shapes["blocks.0.conv2.weight"]]
    assert len(alike) > 1
    assert not torch.equal(*(drawn[0][name] for name in alike[:2]))


def keep_first(weights, density):
    """A rule as simple as they come."""
    masks = {name: torch.zeros(weight.numel(), dtype=torch.bool) for name, weight in weights.items()}
    for mask in masks.values():
        mask[: round(density * len(mask))] = True
    return {name: mask.view_as(weights[name]) for name, mask in masks.items()}


def test_a_rule_is_one_function_and_one_line(machine, add, tmp_path, capsys):
    spec = replace(PRESETS["smoke"], pruner="first")
    with pytest.raises(UsageError, match=r"--pruner first: it is one of magnitude-uniform, .*, random"):
        spec.check()
    add("first", keep_first, WeightsRule)
    spec.check()
    assert {stage.point.pruner for stage in spec.points()} == {"first"}
    assert grid.main(["--preset", "smoke", "--pruner", "first", "--out", str(tmp_path / "new"), "--dry-run"]) == 0
    assert "points: 4 wanted, 0 stored, 4 to do" in capsys.readouterr().out
    point = replace(POINT, pruner="first")
    assert point.key != POINT.key
    model, masks = siblings(machine, point)
    dense = artifacts.load(machine.folder, dense_file(DENSE, 2))["model"]
    assert same(masks, keep_first({name: dense[name] for name in masks}, 0.2))
    assert all(torch.equal(model[name], dense[name] * mask) for name, mask in masks.items())


def sensitive(context):
    """Keep what a first-order Taylor expansion of the loss says matters most, on 100 images."""
    model = context.model_at(context.epoch)
    for part in context.loss_parts(model, 100, at_once=30):
        part.backward()
    named = dict(model.named_parameters())
    scores = {name: (named[name] * named[name].grad).detach().abs() for name in context.weights}
    return Pruned(highest_of_all(scores, context.density), context.state)


def test_a_rule_may_use_gradients_on_a_fixed_sample(machine, add):
    add("sensitive", sensitive)
    _, masks = siblings(machine, replace(POINT, pruner="sensitive"))
    sample = task_of(DENSE, machine).split("train").balanced(100)
    model = build(NAME, 1, 10).eval()
    model.load_state_dict(artifacts.load(machine.folder, dense_file(DENSE, 2))["model"])
    images = next(sample.batches(100))
    F.cross_entropy(model(images), sample.labels).backward()
    scores = {name: (weight * weight.grad).abs() for name, weight in model.named_parameters() if name in masks}
    found, dropped = (torch.cat([scores[n][m if keep else ~m] for n, m in masks.items()]) for keep in (True, False))
    assert density(masks) == pytest.approx(0.2, abs=1e-4)
    assert found.min() > 0.999 * dropped.max()  # rounding apart


def test_parts_of_the_loss_add_up_and_can_be_differentiated_twice():
    of = context()
    products = []
    for at_once in (1, 7, 20):
        model = of.model_at(of.epoch)
        parameters = list(model.parameters())
        total = [torch.zeros_like(parameter) for parameter in parameters]
        mean = 0.0
        for part in of.loss_parts(model, 20, at_once):
            mean += part.item()
            gradients = torch.autograd.grad(part, parameters, create_graph=True)
            along = [parameter.detach() for parameter in parameters]
            for sum_so_far, product in zip(total, torch.autograd.grad(gradients, parameters, along), strict=True):
                sum_so_far += product
        products.append((mean, torch.cat([each.flatten() for each in total])))
    split = task_of(DENSE, Machine(LocalFolder("nowhere"), CPU)).split("train")
    sample = split.balanced(20)
    images, labels = next(sample.batches(20)).double(), sample.labels

    def loss_and_gradient(scale):
        """At weights that are scaled, in double precision."""
        model = of.model_at(of.epoch).double()
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.mul_(scale)
        loss = F.cross_entropy(model(images), labels)
        return loss.item(), torch.cat([each.flatten() for each in torch.autograd.grad(loss, list(model.parameters()))])

    loss, _ = loss_and_gradient(1)
    expected = (loss_and_gradient(1 + 1e-5)[1] - loss_and_gradient(1 - 1e-5)[1]).float() / 2e-5
    assert expected.abs().max() > 0.01
    for mean, product in products:
        assert mean == pytest.approx(loss, rel=1e-5)
        assert torch.allclose(product, expected, rtol=1e-3, atol=1e-5)
    assert sum(1 for _ in of.loss_parts(model, 10**9)) == -(-len(split) // 64)


def rewound(context):
    """Magnitudes at the end decide, and siblings begin with the initial weights, as lottery tickets do."""
    return Pruned(per_layer(context.weights, context.density), context.state_at(0))


def test_a_rule_may_rewind_to_an_earlier_epoch(machine, add):
    add("rewound", rewound, epochs=(0,))
    model, masks = siblings(machine, replace(POINT, pruner="rewound"))
    first, last = (artifacts.load(machine.folder, dense_file(DENSE, epoch))["model"] for epoch in (0, 2))
    torch.manual_seed(DENSE.seed)
    assert torch.equal(first["conv.weight"], build(NAME, 1, 10).conv.weight)
    assert same(masks, per_layer({name: last[name] for name in masks}, 0.2))
    for name, mask in masks.items():
        assert torch.equal(model[name], first[name] * mask)
        assert not torch.equal(first[name], last[name])


def test_an_epoch_after_that_of_the_pruned_model_is_no_beginning(add):
    add("rewound", rewound, epochs=(0, 3))
    spec = replace(PRESETS["smoke"], pruner="rewound")
    said = r"--pruner rewound: it takes the model after 3 epochs, and that of temperature 2 has 2\."
    with pytest.raises(UsageError, match=said):
        spec.check()
    replace(spec, temperatures=(3, 6)).check()


def test_an_epoch_that_the_rule_does_not_name_cannot_be_rewound_to(machine, add):
    add("rewound", rewound)
    with pytest.raises(ArtifactError, match="the dense model of seed 1 after epoch 0 is not there"):
        siblings(machine, replace(POINT, pruner="rewound"))


def one_layer(weights, density):
    return dict(list(per_layer(weights, density).items())[:1])


def wrong_shape(weights, density):
    return {name: mask.flatten() for name, mask in per_layer(weights, density).items()}


def numbers(weights, density):
    return {name: mask.float() for name, mask in per_layer(weights, density).items()}


@pytest.mark.parametrize("function", [one_layer, wrong_shape, numbers])
def test_masks_that_do_not_fit_are_an_error(add, function):
    add("wrong", function, WeightsRule)
    with pytest.raises(ValueError, match=r"pruning rule wrong.* mask for blocks\.0\.conv1\.weight"):
        prune("wrong", context())


def test_names_are_known_without_torch():
    code = "import sys; from trainables.pruning import RULES; print(*RULES, 'torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == [*RULES, "False"]
