# SPDX-License-Identifier: GPL-2.0-or-later
"""Runs lab tests."""

from .common import LabError


def add_options(parser):
    parser.add_argument("tests", nargs="*", metavar="NAME")


def run(options):
    raise LabError(f"test: {options.tests}: none yet")
