"""The Trainer of transformers, as its guides write it for a model of one's own.

The model returns a tuple with the loss first. Token losses: `compute_loss_func` with
`num_items_in_batch`. Going on: `resume_from_checkpoint`. SIGTERM: `enable_jit_checkpoint`.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import default_collate
from transformers import Trainer, TrainingArguments, set_seed  # type: ignore[import-not-found]
from transformers.trainer_utils import get_last_checkpoint  # type: ignore[import-not-found]
from work import Work, loss_of, run


class WithLoss(nn.Module):
    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, x: Tensor, labels: Tensor | None = None) -> tuple[Tensor, ...]:
        logits = self.model(x)
        return (logits,) if labels is None else (loss_of(logits, labels), logits)


def collate(rows: list[tuple[Tensor, Any]]) -> dict[str, Tensor]:
    x, labels = default_collate(rows)
    return {"x": x, "labels": labels}


def token_loss(outputs: Any, labels: Tensor, num_items_in_batch: Tensor | None = None) -> Tensor:
    total = F.cross_entropy(outputs[0].flatten(0, -2), labels.flatten(), reduction="sum")
    return total / ((labels != -100).sum() if num_items_in_batch is None else num_items_in_batch)


def accuracy(prediction: Any) -> dict[str, float]:
    return {"accuracy": float((prediction.predictions.argmax(-1) == prediction.label_ids).mean())}


def main(work: Work) -> None:
    set_seed(work.seed)
    train_set, val_set = work.data()
    model = WithLoss(work.build())
    arguments = TrainingArguments(
        output_dir=str(work.saves),
        max_steps=work.steps,
        per_device_train_batch_size=work.batch_size,
        per_device_eval_batch_size=work.batch_size,
        gradient_accumulation_steps=work.accumulate,
        learning_rate=work.learning_rate,
        lr_scheduler_type="cosine",
        warmup_steps=work.warmup,
        weight_decay=work.weight_decay,
        max_grad_norm=work.clip,
        optim="adamw_torch_fused",
        logging_strategy="steps" if work.log_every else "no",
        logging_steps=work.log_every or 1,
        logging_nan_inf_filter=bool(work.log_every),
        save_strategy="steps" if work.save_every else "no",
        save_steps=work.save_every or 1,
        save_total_limit=1,
        enable_jit_checkpoint=work.leave,
        dataloader_drop_last=not work.evaluate,  # it would drop samples of the evaluation too
        dataloader_pin_memory=False,
        remove_unused_columns=False,
        seed=work.seed,
        use_cpu=True,
        ddp_backend="gloo" if work.processes > 1 else None,
        ddp_find_unused_parameters=False if work.processes > 1 else None,
        report_to="none",
        disable_tqdm=True,
    )
    trainer = Trainer(
        model=model,
        args=arguments,
        data_collator=collate,
        train_dataset=train_set,
        eval_dataset=val_set,
        compute_metrics=accuracy if work.evaluate else None,
        compute_loss_func=token_loss if work.tokens else None,
    )
    if work.evaluate:
        found = trainer.evaluate()
        work.result(model.model, loss=found["eval_loss"], accuracy=found["eval_accuracy"])
        return
    trainer.train(resume_from_checkpoint=get_last_checkpoint(str(work.saves)))
    if trainer.state.global_step == work.steps:
        work.result(model.model)


if __name__ == "__main__":
    torch.set_num_threads(1)
    run(main)
