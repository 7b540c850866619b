"""Copy finished figures to `docs/figures/` and tables to `results/`."""

import shutil

from atlas import HERE, read_arguments

FIGURES = HERE.parents[1] / "docs" / "figures"


def main(argv=None):
    """Copy what a full run of `run_all.py` has written to `--out`."""
    arguments = read_arguments(__doc__, argv)
    for folder, ending in ((FIGURES, "png"), (HERE / "results", "md")):
        folder.mkdir(parents=True, exist_ok=True)
        for file in sorted(arguments.out.glob(f"atlas_*.{ending}")):
            shutil.copyfile(file, folder / file.name)
            print(folder / file.name)


if __name__ == "__main__":
    main()
