# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""The process of a command: it imports the hosts without a detour, and prints what a user needs."""

import gc
import logging
import sys
import warnings


def import_hosts(*, is_verbose: bool) -> None:
    """Import the package and its hosts, and decide what they print.

    Args:
        is_verbose: Print messages and warnings of all, as a developer wants them.
    """
    if not is_verbose and not sys.warnoptions:  # before the hosts warn of one another
        warnings.simplefilter("ignore")
    gc.disable()  # a fifth of the time of imports, which leave no garbage
    import anomalib_adaptclip.files.quiet as printed

    gc.enable()
    gc.freeze()
    if is_verbose:
        logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s", stream=sys.stderr)
    else:
        printed.quiet_hosts()
