"""``python -m benchmarks.once PEER WORKLOAD``: the process that the cold benchmark starts and times."""

import pickle
import sys
from pathlib import Path

from benchmarks.peers import PEERS

if __name__ == "__main__":
    workload = pickle.loads(Path(sys.argv[2]).read_bytes())
    peer = PEERS[sys.argv[1]](workload)
    peer.train(workload.epochs)
    print("trained", flush=True)  # here the clock stops
    print(workload.loss(peer.parameters()))
