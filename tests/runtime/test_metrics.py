"""torchmetrics over eval_batches: exact, however the samples are spread over processes."""

import pytest
import torch
from forked import forked
from torch.utils.data import TensorDataset
from torchmetrics import MetricCollection
from torchmetrics.classification import MulticlassAccuracy, MulticlassF1Score
from torchmetrics.text import Perplexity

from runtime import dist
from runtime.data import eval_batches

# A process that got no sample computes its part before an update, says torchmetrics.
pytestmark = pytest.mark.filterwarnings("ignore:The ``compute`` method:UserWarning")


def new_metrics():
    return MetricCollection(
        {
            "val_accuracy": MulticlassAccuracy(4, average="micro"),  # its default is another: macro
            "val_f1": MulticlassF1Score(4),
            "val_recall": MulticlassAccuracy(4),
            "val_perplexity": PerplexityOfRows(),
        }
    )


class PerplexityOfRows(Perplexity):
    """Perplexity takes (batch, time, classes)."""

    def update(self, preds, target):
        super().update(preds[:, None], target[:, None])


def samples(number):
    generator = torch.Generator().manual_seed(number)
    logits = torch.randn(number, 4, generator=generator)
    return TensorDataset(logits, torch.randint(4, (number,), generator=generator))


def evaluated(number):
    world = dist.init(timeout_s=20)
    metrics = new_metrics().to(world.device)
    empty = 0
    for logits, y in eval_batches(samples(number), 4, world=world):
        if len(y):  # torchmetrics takes no batch without rows
            metrics.update(logits, y)
        empty += not len(y)
    scores = {name: float(score) for name, score in metrics.compute().items()}
    dist.close()
    return scores, empty


@pytest.mark.parametrize(("number", "size"), [(23, 1), (23, 2), (23, 3), (1, 2), (2, 3)])
def test_scores_are_exact_over_processes_also_where_one_has_no_sample(number, size):
    logits, y = samples(number).tensors
    whole = new_metrics()
    whole.update(logits, y)
    expected = {name: float(score) for name, score in whole.compute().items()}
    assert expected["val_accuracy"] == pytest.approx(float((logits.argmax(1) == y).float().mean()))
    for scores, empty in forked(size, evaluated, number):
        assert scores == pytest.approx(expected)
        assert empty == 0 or number < size
