"""Markdown tables of the studies."""


def table(head, rows):
    """Prints a table; without rows it says so."""
    rows = list(rows)
    if not rows:
        print("Not run yet.\n")
        return
    print("| " + " | ".join(head) + " |")
    print("|" + "---|" * len(head))
    for row in rows:
        print("| " + " | ".join(map(str, row)) + " |")
    print()
