"""How the model of a branch was trained, where a branch trains one."""

from latere.report.inputs import Inputs, read_json

# What a loop is, in words.
LOOPS = {
    "graph": "CUDA graphs of whole epochs",
    "lean": "sparse counts on the CPU",
    "scvi-tools": "that of scvi-tools",
}


def collect(inputs: Inputs) -> dict | None:
    """The training; None where no branch trains a model."""
    if not (path := inputs.files.get("training")):
        return None
    training = read_json(path)
    history = training["history"]
    trained = next(branch for branch in inputs.branches if "training" in branch.files)
    return {
        "training": training,
        "loops": LOOPS,
        "branch": trained,
        "most_epochs": inputs.config.get(trained.name, {}).get("max_epochs"),
        "drawn": {"train": history["elbo_train"], "validation": history["elbo_validation"]},
    }
