"""Stands in for what a notebook on Colab can import: just what the kit uses of it."""
