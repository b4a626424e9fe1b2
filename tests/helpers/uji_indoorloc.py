"""Tables in the layout of UJIIndoorLoc."""

from __future__ import annotations

from pathlib import Path

HEADER = "WAP001,WAP002,WAP003,LONGITUDE,LATITUDE,FLOOR,BUILDINGID,SPACEID,RELATIVEPOSITION,USERID,PHONEID,TIMESTAMP"


ROWS = [
    "100,-97,-0,-7541.2643,4864920.7782,2,1,106,2,2,23,1371713733",
    "100,100,100,-7541.2643,4864920.7782,2,1,106,2,2,23,1371713733",
    "-50,100,-104,-7300.5,4864800,0,0,1,1,11,8,1371713800",
]


def written(folder: Path, *rows: str, header: str = HEADER, end: str = "\n") -> Path:
    (folder / "trainingData.csv").write_bytes(end.join([header, *rows, ""]).encode())
    return folder / "trainingData.csv"
