"""Writes the workbooks of this folder: `python tests/samples/infomax/make.py FOLDER`, with LibreOffice installed.

The figures are made up. Formulas are written without values; LibreOffice calculates them and saves the workbook in its
own way, as that of a person at a desk is saved.
"""

import datetime
import subprocess
import sys
import tempfile
from pathlib import Path

import openpyxl

HEADINGS: list[object] = [
    "종목명",
    "종목코드",
    "현재가",
    "등락률",
    "누적거래량",
    "거래대금(백만)",
    "시가",
    "체결시간",
    "일자",
    "비고",
]
NINE = datetime.datetime(2026, 11, 27, 9, 0, 5)
ROWS: list[list[object]] = [
    ["가나전자", "005930", 70000, "=C4/69500-1", 1234567, 86419.69, 69500, NINE.time(), NINE.date(), True],
    ["다라전자", 660, "=130000+500", 0.0125, "2,345", "1,234.5", 0, 90005, 20261127, None],
    ["마바", "0126Z0", "12,345", -0.3, 0, 0, "12,000", "09:00:05", "2026-11-27", "#WAITING"],
    ["사아", "035720", "=NA()", "=1/0", "=NOSUCHFUNCTION(1)", "#N/A", "...", "-", "00000000", None],
    ["자차", 5930, 1, 0, 0, 0, 0, 0, 0, "두 번째 005930"],
    ["카타", "Q500001", "=0.1+0.2", "▼0.57%", "(5)", None, " ", "      ", None, None],
]  # fmt: skip
FILTERS = {"xlsx": "Calc MS Excel 2007 XML", "xlsm": "Calc MS Excel 2007 VBA XML"}


def source(path: Path) -> None:
    book = openpyxl.Workbook()
    page = book.active
    page.title = "실시간"
    page["A1"] = "시세 (가공의 값)"
    page.merge_cells("A1:E1")
    page["T1"] = "=COUNT(C4:C9)"
    for number, row in enumerate([HEADINGS, *ROWS], start=3):
        for index, cell in enumerate(row, start=1):
            page.cell(number, index, cell)
        page.cell(number, 4).number_format = "0.00%"
    page["H4"].number_format, page["I4"].number_format = "hh:mm:ss", "yyyy-mm-dd"
    book.create_sheet("메모")["A1"] = "다른 시트"
    book.save(path)


def main(folder: Path) -> None:
    with tempfile.TemporaryDirectory() as work:
        source(Path(work) / "libreoffice.xlsx")
        for suffix, filter_name in FILTERS.items():
            command = ["soffice", f"-env:UserInstallation=file://{work}/profile", "--headless"]
            convert = ["--convert-to", f"{suffix}:{filter_name}", "--outdir", str(folder)]
            subprocess.run([*command, *convert, f"{work}/libreoffice.xlsx"], check=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
