"""Tables on the terminal."""


def print_table(rows):
    """Prints dicts as rows of a table with their keys as its header; floats have six digits, 0 and None are dashes."""
    names = list(rows[0])
    cells = [names] + [["%.6f" % row[name] if isinstance(row[name], float) else str(row[name] or "-") for name in names]
                       for row in rows]
    widths = [max(map(len, column)) for column in zip(*cells)]
    for row in cells:
        print("  ".join([row[0].ljust(widths[0])] + [cell.rjust(width) for cell, width in zip(row[1:], widths[1:])]))
