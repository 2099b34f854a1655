"""Runs a function in a forked process, so that limits or users that it sets are those of that process only."""
import multiprocessing


def call(function, *arguments):
    """The value of a function in a forked process; EOFError if it raises something there."""
    def run():
        theirs.send(function(*arguments))

    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.get_context("fork").Process(target=run)
    process.start()
    theirs.close()
    try:
        return ours.recv()
    finally:
        process.join()
