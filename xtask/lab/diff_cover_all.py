"""Runs diff-cover on many pull requests of one repository, in one process.

usage: diff_cover_all.py REPOSITORY REPORTS    each folder N in REPORTS has reports of the branch head-N. Compares them with
                                               the branch main-N, and writes the result beside each: REPORT.json
"""
import os
import pathlib
import subprocess
import sys

from diff_cover.diff_cover_tool import main

repository, reports = sys.argv[1:]
os.chdir(repository)
for folder in sorted(pathlib.Path(reports).iterdir()):
    subprocess.run(["git", "symbolic-ref", "HEAD", f"refs/heads/head-{folder.name}"], check=True)
    for report in list(folder.iterdir()):
        main(["diff-cover", str(report), "--compare-branch", f"main-{folder.name}", "--ignore-staged",
              "--ignore-unstaged", "--quiet", "--format", f"json:{report}.json"])
