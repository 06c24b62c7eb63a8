# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""Normal images as few-shot prompts: which ones, their tokens in memory, and banks of many categories."""

from .bank import PromptBank
from .memory import PromptMemory
from .selection import Shots

__all__ = ["PromptBank", "PromptMemory", "Shots"]
