"""Copy finished figures to `docs/figures/` and tables to `results/`."""

import re
import shutil

from experiment import HERE, read_arguments

FIGURES = HERE.parents[1] / "docs" / "figures"


def main(argv=None):
    """Copy what a full run of `run_all.py` has written to `--out`."""
    arguments = read_arguments(__doc__, argv)
    for folder, pattern in ((FIGURES, "*.png"), (HERE / "results", "*.md")):
        folder.mkdir(parents=True, exist_ok=True)
        for file in sorted(arguments.out.glob(pattern)):
            # The documentation names figures by what they show.
            name = (
                re.sub(r"^fig\d+_", "", file.name) if folder == FIGURES else file.name
            )
            shutil.copyfile(file, folder / name)
            print(folder / name)


if __name__ == "__main__":
    main()
