"""A job, by all that its need may follow."""

from collections.abc import Mapping
from dataclasses import dataclass

from latere.cluster.sizes import Shape, Sizes
from latere.design import decoded_as


@dataclass(frozen=True)
class Job:
    """A job; its properties are the words that `latere.cluster.needs` uses.

    Attributes
    ----------
    wildcards, threads
        Of the job.
    sizes
        Of the study's work.
    """

    wildcards: Mapping[str, str]
    threads: int
    sizes: Sizes

    @property
    def run(self) -> str | None:
        """Name of the run that the job works on."""
        return self.sizes.run_of(self.wildcards)

    @property
    def contrasts(self) -> int:
        """Number of contrasts of the study."""
        return len(self.sizes.study.contrasts)

    @property
    def decoded_as(self) -> int:
        """Number of samples that cells are decoded as."""
        study = self.sizes.study
        return len(decoded_as({contrast: study.sides(contrast) for contrast in study.contrasts}))

    @property
    def samples(self) -> int:
        """Number of samples of the study."""
        return len(self.sizes.study.samples)

    @property
    def spots(self) -> float:
        """Spots of the run."""
        return self.sizes.spots(self.run)

    @property
    def bases(self) -> float:
        """Bases of the genome."""
        return self.sizes.bases()

    @property
    def index(self) -> float:
        """Bytes of the STAR index."""
        return self.sizes.index()

    @property
    def entries(self) -> float:
        """Entries of the matrix that the run comes as, or will be counted to."""
        return self.sizes.source(self.run).entries

    @property
    def loaded(self) -> Shape:
        """What is read of the source of the run: barcodes and entries."""
        return self.sizes.loaded(self.run)

    @property
    def counted(self) -> Shape:
        """Counts of the run."""
        return self.sizes.counted(self.run)

    @property
    def called(self) -> Shape:
        """Cells of the study before the limits."""
        return self.sizes.called()

    @property
    def largest_sample(self) -> float:
        """Entries of the sample with the most of them."""
        return self.sizes.largest_sample()

    @property
    def kept(self) -> Shape:
        """Cells of the study that the branches look at."""
        return self.sizes.kept()

    @property
    def keep_archives(self) -> bool:
        """Whether archives are kept."""
        return self.sizes.study.config["reads"]["keep_archives"]

    @property
    def keep_fastq(self) -> bool:
        """Whether unpacked reads are kept."""
        return self.sizes.study.config["reads"]["keep_fastq"]

    @property
    def bam(self) -> bool:
        """Whether alignments are written."""
        return self.sizes.study.config["reads"]["bam"]

    @property
    def max_epochs(self) -> int | None:
        """Most epochs of the training."""
        return self.sizes.study.config["deep"]["max_epochs"]
