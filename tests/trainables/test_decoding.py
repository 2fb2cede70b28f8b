import pytest
import torch
from torch import nn
from torch.nn import functional

from trainables.data.text.vocabulary import BEGIN, END, LONGEST, PADDING
from trainables.models.transformer import Transformer
from trainables.tasks.translation.decoding import NotFiniteError, greedy

VOCABULARY = 24


class Wrapped(nn.Module):
    """The same model as a user's own, which nothing is known of."""

    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, source, target):
        return self.model(source, target)


class Scripted(nn.Module):
    """Says the next number after each token, and END after the source's first one."""

    def forward(self, source, target):
        following = torch.where(target == BEGIN, 10, target + 1)
        following[following > source[:, :1]] = END
        logits = functional.one_hot(following, VOCABULARY).float()
        logits[..., PADDING] = logits[..., BEGIN] = 5.0
        return logits


class Diverged(Scripted):
    """Gives NaN once the batch has gone on to its third token."""

    def forward(self, source, target):
        logits = super().forward(source, target)
        logits[:, 2:] = torch.nan
        return logits


def padded(rows):
    longest = max(map(len, rows))
    return torch.tensor([row + [PADDING] * (longest - len(row)) for row in rows])


def sources(rows=12, seed=0):
    random = torch.Generator().manual_seed(seed)
    lengths = torch.randint(1, 12, (rows,), generator=random).tolist()
    return [[*torch.randint(4, VOCABULARY, (length,), generator=random).tolist(), END] for length in lengths]


@pytest.fixture(scope="module")
def trained():
    """A Transformer that has begun to learn to write sentences backwards, so that they end at different lengths."""
    torch.manual_seed(0)
    model = Transformer(layers=2, width=32, heads=4, vocabulary=VOCABULARY)
    optimizer = torch.optim.Adam(model.parameters(), 3e-3)
    for step in range(150):
        rows = sources(64, seed=step + 1)
        targets = padded([[BEGIN, *row[-2::-1], END] for row in rows])
        logits = model(padded(rows), targets[:, :-1])
        loss = functional.cross_entropy(logits.flatten(0, 1), targets[:, 1:].flatten(), ignore_index=PADDING)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return model.eval()


@pytest.fixture(scope="module")
def untrained():
    torch.manual_seed(1)
    return Transformer(layers=3, width=16, heads=2, vocabulary=VOCABULARY).eval()


@pytest.fixture(params=["trained", "untrained"])
def model(request):
    return request.getfixturevalue(request.param)


def one_by_one(model, row, longest):
    """As one would write it down: all positions again for each token."""
    found = [BEGIN]
    while len(found) <= longest:
        with torch.no_grad():
            logits = model(torch.tensor([row]), torch.tensor([found]))[0, -1]
        logits[[PADDING, BEGIN]] = -torch.inf
        if (token := int(logits.argmax())) == END:
            break
        found.append(token)
    return found[1:]


@pytest.mark.parametrize("longest", [1, 4, 20])
def test_kept_keys_and_values_change_no_token_and_neither_does_the_batch(model, longest):
    rows = sources()
    expected = [one_by_one(model, row, longest) for row in rows]
    assert greedy(model, padded(rows), longest) == expected
    assert greedy(Wrapped(model), padded(rows), longest) == expected
    assert [greedy(model, torch.tensor([row]), longest)[0] for row in rows] == expected


def test_sentences_end_where_the_model_says(trained):
    lengths = {len(own) for own in greedy(trained, padded(sources()), 20)}
    assert len(lengths) > 3
    assert max(lengths) < 20


def test_padding_changes_nothing(model):
    source = padded(sources())
    more = functional.pad(source, (0, 7), value=PADDING)
    assert greedy(model, more, 20) == greedy(model, source, 20)


def test_a_users_own_model_is_asked_for_its_last_position():
    source = torch.tensor([[12, END], [9, END], [15, END], [20, END]])
    assert greedy(Scripted(), source, 6) == [[10, 11, 12], [], [10, 11, 12, 13, 14, 15], [10, 11, 12, 13, 14, 15]]


def test_no_token_no_row():
    assert greedy(Scripted(), torch.tensor([[12, END]]), 0) == [[]]
    assert greedy(Scripted(), torch.zeros(0, 3, dtype=torch.int64), 5) == []


def test_no_gradient_is_kept():
    seen = []
    model = Transformer(layers=1, width=8, heads=2, vocabulary=VOCABULARY).eval()
    model.output.register_forward_hook(lambda layer, inputs, output: seen.append(output.requires_grad))
    greedy(model, torch.tensor([[12, END]]), 1)
    assert seen == [False]


def test_a_diverged_model_says_so():
    with pytest.raises(NotFiniteError, match="not finite"):
        greedy(Diverged(), torch.tensor([[9, END], [15, END]]), 6)
    assert greedy(Diverged(), torch.tensor([[9, END], [10, END]]), 6) == [[], [10]]
    model = Transformer(layers=1, width=8, heads=2, vocabulary=VOCABULARY).eval()
    nn.init.constant_(model.output.bias, torch.inf)
    with pytest.raises(NotFiniteError):
        greedy(model, padded(sources()), 3)


def test_positions_end():
    model = Transformer(layers=1, width=8, heads=2, vocabulary=VOCABULARY).eval()
    with pytest.raises(ValueError, match=f"longest {LONGEST + 1}: a Transformer has positions for {LONGEST} tokens"):
        greedy(model, padded(sources()), LONGEST + 1)
    model.output.bias.data[END] = -100
    assert [len(own) for own in greedy(model, padded(sources(1)), LONGEST)] == [LONGEST]
