"""Times the Python packages for xLSTM on the CPU. One line of JSON for each case.

    python peers.py train-step --xlstm DIR     one training step of the official paper models
    python peers.py cells --xlstm DIR          the recurrent cells alone
    python peers.py seed --x-lstm DIR          the didactic modules, step by step
    python peers.py gemm                       the matrix product of this machine
    python peers.py prefill|decode|startup     Hugging Face's xLSTM, with random weights

A package is taken from the folder given, else from this Python. One that is missing is left out, and
a line on the standard error that begins with "peers: " says so. docs/benchmarks.md has the keys.
"""

import argparse
import contextlib
import importlib
import json
import statistics
import subprocess
import sys
import tempfile
import time
import types


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=sorted(BENCHMARKS))
    parser.add_argument("--xlstm", metavar="DIR", help="checkout of NX-AI/xlstm")
    parser.add_argument("--mlstm-kernels", metavar="DIR", help="checkout of NX-AI/mlstm_kernels")
    parser.add_argument("--x-lstm", metavar="DIR", help="checkout of myscience/x-lstm")
    parser.add_argument("--compile", action="store_true", help="train-step: the models by torch.compile")
    parser.add_argument("--case", default="", metavar="TEXT", help="only cases whose name contains this")
    parser.add_argument("--reps", type=int, default=7, help="timed runs, at least")
    parser.add_argument("--least", type=float, default=2, metavar="SECONDS", help="time of all runs, at least")
    parser.add_argument("--warmup", type=int, default=3, metavar="RUNS", help="untimed runs before")
    parser.add_argument("--threads", type=int, help="threads of one operation")
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--seq", type=int, default=256)
    parser.add_argument("--dim", type=int, default=128)
    parser.add_argument("--heads", type=int, default=4)
    parser.add_argument("--vocab", type=int, default=256)
    parser.add_argument("--blocks", type=int, default=7)
    parser.add_argument("--large-dim", type=int, default=512, help="prefill, decode, startup: width")
    parser.add_argument("--large-blocks", type=int, default=8, help="prefill, decode, startup: blocks")
    parser.add_argument("--large-vocab", type=int, default=50304, help="prefill, decode, startup: vocabulary")
    return parser.parse_args()


def note(text):
    print("peers: " + text, file=sys.stderr, flush=True)


def median(work, args):
    """Median and shortest milliseconds of single runs, and how many were timed."""
    for _ in range(args.warmup):
        work()
    times = []
    while len(times) < args.reps or sum(times) < args.least * 1e3:
        began = time.perf_counter()
        work()
        times.append((time.perf_counter() - began) * 1e3)
    return statistics.median(times), {"ms_best": round(min(times), 3), "reps": len(times)}


def report(peer, case, ms, tokens=None, **keys):
    import torch

    line = {"peer": peer, "case": case, "threads": torch.get_num_threads(), "ms": round(ms, 3), **keys}
    if tokens:
        line["tokens_per_s"] = round(tokens / ms * 1e3, 3)
    print(json.dumps(line), flush=True)


def measure(args, peer, case, work, tokens=None, **keys):
    if args.case in case:
        ms, timed = median(work(), args)
        report(peer, case, ms, tokens, **keys, **timed, warmup_runs=args.warmup)


def sizes(args):
    return {"B": args.batch, "S": args.seq, "D": args.dim, "NH": args.heads}


def package(name, folder):
    """The package, from the folder if one is given; None if it is nowhere."""
    if folder:
        sys.path.insert(0, folder)
    try:
        return importlib.import_module(name)
    except ImportError as error:
        note(f"{name} is left out: {error}")
        return None


def train_step(args):
    import torch

    xlstm = package("xlstm", args.xlstm)
    if xlstm is None:
        return
    peer = f"NX-AI/xlstm {xlstm.__version__}" + (" compiled" if args.compile else " eager")

    def model(blocks, slstm_at):
        mlstm = xlstm.mLSTMLayerConfig(conv1d_kernel_size=4, qkv_proj_blocksize=4, num_heads=args.heads)
        slstm = xlstm.sLSTMLayerConfig(
            backend="vanilla", num_heads=args.heads, conv1d_kernel_size=4, bias_init="powerlaw_blockdependent"
        )
        made = xlstm.xLSTMLMModel(
            xlstm.xLSTMLMModelConfig(
                vocab_size=args.vocab,
                context_length=args.seq,
                embedding_dim=args.dim,
                num_blocks=blocks,
                slstm_at=slstm_at,
                mlstm_block=xlstm.mLSTMBlockConfig(mlstm=mlstm),
                slstm_block=xlstm.sLSTMBlockConfig(
                    slstm=slstm, feedforward=xlstm.FeedForwardConfig(proj_factor=1.3, act_fn="gelu")
                ),
            )
        )
        made.reset_parameters()
        return made

    def work(blocks, slstm_at):
        torch.manual_seed(0)
        made = model(blocks, slstm_at)
        logits = torch.compile(made) if args.compile else made
        optimizer = torch.optim.AdamW(made.parameters(), lr=1e-3)
        inputs, targets = torch.randint(args.vocab, (2, args.batch, args.seq))

        def step():
            optimizer.zero_grad()
            loss = torch.nn.functional.cross_entropy(logits(inputs).flatten(0, 1), targets.flatten())
            loss.backward()
            optimizer.step()

        return step

    for case, blocks, slstm_at in (
        (f"{args.blocks} blocks, sLSTM at 1", args.blocks, [1]),
        ("1 mLSTM block", 1, []),
        ("1 sLSTM block", 1, [0]),
    ):
        measure(
            args,
            peer,
            case,
            lambda: work(blocks, slstm_at),
            args.batch * args.seq,
            **sizes(args),
            vocab=args.vocab,
        )


def forward(call):
    import torch

    def work():
        with torch.no_grad():
            call()

    return work


def forward_and_backward(call, leaves):
    def work():
        for leaf in leaves:
            leaf.grad = None
        made = call()
        (made[0] if isinstance(made, tuple) else made).sum().backward()

    return work


def cells(args):
    import torch

    torch.manual_seed(0)
    tokens = args.batch * args.seq
    xlstm = package("xlstm", args.xlstm)
    if xlstm is not None:
        from xlstm.blocks.slstm.cell import sLSTMCell, sLSTMCellConfig

        cell = sLSTMCell(sLSTMCellConfig(hidden_size=args.dim, num_heads=args.heads, backend="vanilla"))
        gates = torch.randn(args.batch, args.seq, 4 * args.dim, requires_grad=True)
        leaves = [gates, *cell.parameters()]
        peer = f"NX-AI/xlstm {xlstm.__version__} vanilla"
        measure(args, peer, "sLSTM cell forward", lambda: forward(lambda: cell(gates)), tokens, **sizes(args))
        measure(
            args,
            peer,
            "sLSTM cell forward+backward",
            lambda: forward_and_backward(lambda: cell(gates), leaves),
            tokens,
            **sizes(args),
        )

    width = 2 * args.dim // args.heads
    keys = {"B": args.batch, "S": args.seq, "DH": width, "NH": args.heads}
    q, k, v = (torch.randn(args.batch, args.heads, args.seq, width, requires_grad=True) for _ in range(3))
    i, f = (torch.randn(args.batch, args.heads, args.seq, requires_grad=True) for _ in range(2))

    def both(peer, call):
        measure(args, peer, "mLSTM cell forward", lambda: forward(call), tokens, **keys)
        measure(
            args,
            peer,
            "mLSTM cell forward+backward",
            lambda: forward_and_backward(call, [q, k, v, i, f]),
            tokens,
            **keys,
        )

    if xlstm is not None:
        from xlstm.blocks.mlstm.backends import parallel_stabilized_simple as parallel

        both(
            f"NX-AI/xlstm {xlstm.__version__} parallel",
            lambda: parallel(q, k, v, i.unsqueeze(-1), f.unsqueeze(-1)),
        )
    if package("mlstm_kernels", args.mlstm_kernels) is not None:
        module = package("mlstm_kernels.torch.chunkwise.native", None)
        if module is not None:
            both(
                "mlstm_kernels chunkwise native",
                lambda: module.mlstm_chunkwise__native_autograd(q, k, v, i, f, chunk_size=min(64, args.seq)),
            )


def seed(args):
    import torch

    if not args.x_lstm:
        note("myscience/x-lstm is left out: it is no package; pass its folder as --x-lstm")
        return
    # Its __init__ wants lightning for parts that are not measured: the modules are loaded without it.
    root = types.ModuleType("x_lstm")
    root.__path__ = [args.x_lstm + "/xlstm"]
    sys.modules["x_lstm"] = root
    for name, wanted in (
        ("tokenizers", ("AddedToken",)),
        ("transformers", ("AutoTokenizer", "PreTrainedTokenizerBase")),
    ):
        with contextlib.suppress(ImportError):
            importlib.import_module(name)
            continue
        stand_in = types.ModuleType(name)
        for attribute in wanted:
            setattr(stand_in, attribute, object)
        sys.modules[name] = stand_in
    try:
        layers = importlib.import_module("x_lstm.lstm")
    except ImportError as error:
        note(f"myscience/x-lstm is left out: {error}")
        return
    head_dim = args.dim // args.heads

    def work(make):
        torch.manual_seed(0)
        layer = make()
        sequence = torch.randn(args.seq, args.batch, args.dim)

        def steps():
            layer.zero_grad()
            hidden, loss = layer.init_hidden(args.batch), 0
            for now, after in zip(sequence[:-1], sequence[1:]):
                said, hidden = layer(now, hidden)
                loss = loss + torch.nn.functional.mse_loss(said, after)
            loss.backward()

        return steps

    for name, make in (
        ("sLSTM", lambda: layers.sLSTM(inp_dim=args.dim, head_dim=head_dim, head_num=args.heads)),
        ("mLSTM", lambda: layers.mLSTM(inp_dim=args.dim, head_dim=head_dim, head_num=args.heads)),
    ):
        case = f"seed {name}: step through the sequence, MSE, backward"
        measure(args, "myscience/x-lstm", case, lambda: work(make), args.batch * args.seq, **sizes(args))


def gemm(args):
    import torch

    size = 1024
    case = f"matrix product {size} x {size}"
    if args.case in case:
        a, b, c = (torch.randn(size, size) for _ in range(3))
        ms, timed = median(lambda: torch.mm(a, b, out=c), args)
        rate = {"gflop_per_s": round(2 * size**3 / ms / 1e6, 3)}
        report("torch " + torch.__version__, case, ms, M=size, N=size, K=size, **timed, **rate)


def large_model(args):
    """Hugging Face's model with random weights and its name; None if it is not there."""
    transformers = package("transformers", None)
    if transformers is None:
        return None, None
    config = transformers.xLSTMConfig(
        vocab_size=args.large_vocab,
        hidden_size=args.large_dim,
        num_hidden_layers=args.large_blocks,
        num_heads=args.heads,
    )
    return transformers.xLSTMForCausalLM(config).eval(), f"transformers {transformers.__version__}"


def large_keys(args, model):
    count = sum(parameter.numel() for parameter in model.parameters())
    return {"D": args.large_dim, "NH": args.heads, "blocks": args.large_blocks, "parameters": count}


def prefill(args):
    import torch

    model, peer = large_model(args)
    if model is not None:
        ids = torch.randint(args.large_vocab, (1, 2 * args.seq))
        case = f"prefill {ids.numel()}"

        def last_logits():  # as ours: the whole model would make the logits of every position
            return model.lm_head(model.backbone(ids)[0][:, -1:])

        measure(args, peer, case, lambda: forward(last_logits), ids.numel(), **large_keys(args, model))


def decode(args):
    import torch

    model, peer = large_model(args)
    case = "greedy decode, batch 1"
    if model is None or args.case not in case:
        return
    prompt = torch.randint(args.large_vocab, (1, 8))
    few, many = 8, 72

    def seconds(count):
        began = time.perf_counter()
        model.generate(prompt, max_new_tokens=count, min_new_tokens=count, do_sample=False)
        return time.perf_counter() - began

    with torch.no_grad():
        seconds(few)  # warm-up
        # the difference of two lengths is the decoding alone, without the prompt
        runs = [(seconds(many) - seconds(few)) * 1e3 for _ in range(max(3, args.reps // 2))]
    ms = statistics.median(runs)
    keys = large_keys(args, model)
    # a token reads all weights but the embedding, of which it reads one row
    read = (keys["parameters"] - args.large_vocab * args.large_dim) * 4
    rate = round((many - few) * read / ms / 1e6, 3)
    report(peer, case, ms, many - few, **keys, reps=len(runs), weight_gb_per_s=rate)


def startup(args):
    model, peer = large_model(args)
    case = "cold start: process to first logits"
    if model is None or args.case not in case:
        return
    with tempfile.TemporaryDirectory() as folder:
        model.save_pretrained(folder)
        program = (
            "import torch, transformers\n"
            f"model = transformers.xLSTMForCausalLM.from_pretrained({folder!r}).eval()\n"
            "with torch.no_grad():\n"
            "    model(torch.ones(1, 8, dtype=torch.long))\n"
        )

        def start():
            subprocess.run([sys.executable, "-c", program], check=True, capture_output=True)

        ms, timed = median(start, args)
    report(peer, case, ms, **large_keys(args, model), **timed)


BENCHMARKS = {
    "train-step": train_step,
    "cells": cells,
    "seed": seed,
    "gemm": gemm,
    "prefill": prefill,
    "decode": decode,
    "startup": startup,
}


def main():
    args = arguments()
    if args.threads:
        import torch

        torch.set_num_threads(args.threads)
    BENCHMARKS[args.what](args)


if __name__ == "__main__":
    main()
