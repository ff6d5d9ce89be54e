"""What is right: one process, one batch with everything in it, from the weights of a run.

python truth.py gradient WORK WEIGHTS FILE     the gradient, as torch.save writes it
python truth.py evaluation WORK WEIGHTS FILE   loss and accuracy, as JSON
"""

import json
import sys
from pathlib import Path

import torch
from torch.utils.data import default_collate
from work import Work, loss_of


def main(what: str, work: Work, weights: str, file: Path) -> None:
    train_set, val_set = work.data()
    data = train_set if what == "gradient" else val_set
    x, y = default_collate([data[index] for index in range(len(data))])  # type: ignore[arg-type]
    model = work.build()
    model.load_state_dict(torch.load(weights, weights_only=True))
    if what == "gradient":
        loss_of(model.train()(x), y).backward()
        torch.save({name: p.grad for name, p in model.named_parameters()}, file)
        return
    with torch.no_grad():
        logits = model.eval()(x)
    accuracy = (logits.argmax(1) == y).float().mean()
    file.write_text(json.dumps({"loss": float(loss_of(logits, y)), "accuracy": float(accuracy)}))


if __name__ == "__main__":
    main(sys.argv[1], Work(**json.loads(sys.argv[2])), sys.argv[3], Path(sys.argv[4]))
