"""Makes and drops many small objects: with PYTHONMALLOC=malloc each is a call of malloc."""

import collections
import json
import sys


class Node:
    def __init__(self, key, left, right):
        self.key, self.left, self.right = key, left, right


def tree(depth, key=1):
    return Node(key, tree(depth - 1, 2 * key), tree(depth - 1, 2 * key + 1)) if depth else None


def weight(node):
    return 1 + weight(node.left) + weight(node.right) if node else 0


def round_of(number):
    users = collections.defaultdict(list)
    for i in range(20_000):
        users[f"user-{(i * 7919 + number) % 500}"].append({"id": i, "page": f"/products/{i % 97}", "took": i * 0.25})
    text = json.dumps(users)
    words = collections.Counter(text.split())
    return len(json.loads(text)) + len(words) + weight(tree(14))


print(sum(round_of(number) for number in range(int(sys.argv[1]))))
