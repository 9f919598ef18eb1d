"""The checks, as pytest suites: what students may run themselves (`public/`) and what they may not (`hidden/`)."""
