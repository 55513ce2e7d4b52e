"""Times Hugging Face `tokenizers` for bench_tokenizer: TOKENIZER_JSON FOLDER PASSES.

Prints "NUMBER SECONDS TOKENS" for each FOLDER/NUMBER.txt, and first for loading as number -1; each
the best of PASSES. Every pass encodes anew: `tokenizers` keeps words that it has seen, so a fresh
copy is loaded for each."""

import pathlib
import sys
import time

from tokenizers import Tokenizer


def main():
    file, folder, passes = sys.argv[1], pathlib.Path(sys.argv[2]), int(sys.argv[3])
    texts = [
        (int(path.stem), path.read_bytes().decode("utf-8", errors="replace"))
        for path in sorted(folder.glob("*.txt"))
    ]
    best = {}
    for _ in range(passes):
        begin = time.perf_counter()
        tokenizer = Tokenizer.from_file(file)
        seconds = time.perf_counter() - begin
        size = tokenizer.get_vocab_size(with_added_tokens=True)
        best[-1] = min(best.get(-1, (seconds, size)), (seconds, size))
        for number, text in texts:
            begin = time.perf_counter()
            tokens = len(tokenizer.encode(text, add_special_tokens=False).ids)
            seconds = time.perf_counter() - begin
            best[number] = min(best.get(number, (seconds, tokens)), (seconds, tokens))
    for number, (seconds, tokens) in best.items():
        print(number, seconds, tokens)


main()
