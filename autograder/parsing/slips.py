from __future__ import annotations


def why_unreadable(source: str, error: SyntaxError) -> str:
    return (error.msg or "invalid syntax").removesuffix(" (<unknown>, line 1)")
