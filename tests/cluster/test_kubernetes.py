"""The files of Kubernetes against the published schemas: of the Job, and of Kubeflow's TrainJob.

No cluster runs here. `make cluster` installs the schemas and runs these.
"""

import pytest
import yaml

from litgen_torch.answers import Answers, complete
from litgen_torch.catalog import questions
from litgen_torch.project import from_templates
from litgen_torch.render import Tree

pytestmark = pytest.mark.cluster
PROJECTS: dict[str, Answers] = {
    "one process": {"strategy": "single"},
    "one machine": {"strategy": "ddp"},
    "CPUs": {"strategy": "fsdp", "gpus": "0", "nodes": "3"},
    "many machines": {"strategy": "hsdp", "nodes": "16", "gpus": "4"},
}


def files(answers: Answers) -> Tree:
    return from_templates(
        "My.project_1", complete(questions(), answers | {"launcher": ("kubernetes",)})
    )


@pytest.mark.parametrize("answers", PROJECTS.values(), ids=PROJECTS)
def test_the_job_is_as_kubernetes_publishes_it(answers: Answers) -> None:
    validate = pytest.importorskip("kubernetes_validate")
    documents = [*yaml.safe_load_all(files(answers)["launch/kubernetes.yaml"])]
    assert [about["kind"] for about in documents] == ["Service", "Job"][-len(documents) :]
    for about in documents:
        validate.validate(about, validate.latest_version(), strict=True)
    pod = documents[-1]["spec"]["template"]["spec"]
    pod["subdomian"] = "a slip of the pen"
    with pytest.raises(validate.ValidationError):
        validate.validate(documents[-1], validate.latest_version(), strict=True)


@pytest.mark.parametrize("answers", PROJECTS.values(), ids=PROJECTS)
def test_the_trainjob_is_as_kubeflow_publishes_it(answers: Answers) -> None:
    models = pytest.importorskip("kubeflow_trainer_api.models")
    about = yaml.safe_load(files(answers)["launch/trainjob.yaml"])
    read = models.TrainerV1alpha1TrainJob.from_dict(about)
    assert read.to_dict() == about, "what a model does not know it leaves out"
