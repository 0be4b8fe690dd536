"""Which reads are of one spot, by their names."""

import pytest
from dnaio import SequenceRecord

from latere.errors import StudyError
from latere.reads.matching import Mate
from latere.reads.names import are_mates
from latere.reads.roles import check_mates

ILLUMINA = "ST-K00126:278:HFLC5BBXX:8:1101:2037:1156"
SAME = {
    "as sequenced": (f"{ILLUMINA} 1:N:0:ACGT", f"{ILLUMINA} 2:N:0:ACGT"),
    "fastq-dump --readids, the last two of four": ("SRR1.7.3", "SRR1.7.4"),
    "fastq-dump --readids, four": ("SRR1.12.1", "SRR1.12.2", "SRR1.12.3", "SRR1.12.4"),
    "a local archive, with the name given": ("my.run.12.2 X length=8", "my.run.12.4 X length=90"),
    "fastq-dump -F": (f"{ILLUMINA}/1", f"{ILLUMINA}/4"),
    "an archive for each read": (f"SRR1.7 {ILLUMINA} length=26", f"SRR2.7 {ILLUMINA} length=91"),
    "an archive for each read, at the EBI": (f"ERR1.7 {ILLUMINA}/1", f"ERR2.7 {ILLUMINA}/2"),
    "an archive for each read, of three": tuple(f"SRR{at}.7.1 {ILLUMINA}" for at in (1, 2, 3)),
    "filtered before they were deposited": (f"SRR1.7 {ILLUMINA}", f"SRR2.9 {ILLUMINA}"),
    "an archive for each read, of MGI": (
        "DRR1.7 V3L1C001R0020000007/1",
        "DRR2.7 V3L1C001R0020000007/2",
    ),
    "old Illumina names": ("SRR1.7 HWI:4:1:9:8#ACG/1", "SRR2.7 HWI:4:1:9:8#0/2"),
}
OTHER = {
    "another spot": ("SRR1.7.3", "SRR1.8.4"),
    "another archive": ("SRR1.7.3", "SRR2.7.4"),
    "another spot of four": ("x:17/1", "x:18/4"),
    "other names in other archives": (f"SRR1.7 {ILLUMINA}", f"SRR2.7 {ILLUMINA}9"),
    "a name in one archive": (f"SRR1.7 {ILLUMINA}", "SRR2.7 7"),
    "numbers only": ("SRR1.7 7 length=26", "SRR2.7 7 length=91"),
    "no names": ("SRR1.7", "SRR2.7"),
    "a description": ("a.7 1:N:0:1", "b.7 1:N:0:1"),
    "other words": ("L1.7 x", "L2.7 x"),
}


def reads(*names):
    return [SequenceRecord(name, "A", "F") for name in names]


@pytest.mark.parametrize("case", SAME)
def test_same_spot(case):
    assert are_mates(*reads(*SAME[case]))


@pytest.mark.parametrize("case", OTHER)
def test_other_spots(case):
    assert not are_mates(*reads(*OTHER[case]))


def test_numbers_of_two_archives_show_nothing():
    first, second = reads(*OTHER["numbers only"])
    mates = [Mate("a.fastq", first, (1, 1), ("A",)), Mate("b.fastq", second, (1, 1), ("A",))]
    with pytest.raises(
        StudyError, match=r"^x: .*a.fastq: SRR1.7.*read-names-differ.\n.*sed"
    ) as error:
        check_mates(mates, "x")
    assert "same lanes" not in str(error.value)
