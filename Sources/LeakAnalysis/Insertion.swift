/// Several candidates that are one insertion: a node, its key and its value come from three functions, one block of
/// each at a time, a few calls below the function that inserts. Apart, the largest of them would be a matter of chance
/// and the insertion itself would not be named.
enum Insertion {
    /// Calls between a function that allocates and the one where they meet. Farther out, everything meets.
    private static let reach = 3
    /// Rates less certain than this agree with anything.
    private static let largestError = 0.3

    /// Joins what belongs together, largest first; the others stay as they are.
    static func joined(_ candidates: [Candidate], duration: Double) -> [Candidate] {
        var result: [Candidate] = []
        for candidate in candidates.sorted(by: { $0.rate.value > $1.rate.value }) {
            for index in result.indices {
                guard isOnePace(result[index], candidate), let function = meeting(result[index], candidate) else {
                    continue
                }
                let both = result[index].joined(with: candidate, in: function, duration: duration)
                guard both.judgement.behaviour.isSuspicious, both.rate.value > 0 else { continue }
                result[index] = both
                break
            }
            if !result.contains(where: { $0.members.contains(candidate.key) }) { result.append(candidate) }
        }
        return result
    }

    /// The innermost function that is within reach of both. In the outermost, `main` or a thread's, everything meets.
    private static func meeting(_ a: Candidate, _ b: Candidate) -> StackFrame? {
        let outer = b.callers.dropLast().prefix(reach + 1)
        return a.callers.dropLast().prefix(reach + 1).first { frame in
            outer.contains { $0.module == frame.module && $0.owner == frame.owner }
        }
    }

    /// As many blocks a second, within a quarter or three standard errors: an insertion torn apart is worse than two
    /// leaks a few calls from one another in one suspect.
    private static func isOnePace(_ a: Candidate, _ b: Candidate) -> Bool {
        guard let first = a.pace, let second = b.pace else { return false }
        let error = (first.error * first.error + second.error * second.error).squareRoot()
        return error < largestError && abs(first.value / second.value - 1) <= max(0.25, 3 * error)
    }
}

extension Candidate {
    /// The program's own functions on its stack, innermost first.
    fileprivate var callers: [StackFrame] { group.stack.filter { $0.role == .application } }

    /// Blocks per second of the member that grows most, and the relative error.
    fileprivate var pace: (value: Double, error: Double)? {
        guard blockSize > 0, rate.value > 0 else { return nil }
        return (rate.value / blockSize, rate.error / rate.value)
    }

    fileprivate func joined(with other: Candidate, in function: StackFrame, duration: Double) -> Candidate {
        var group = group
        group.add(other.group)
        group.function = function.owner
        group.module = function.module
        var both = Candidate(group: group, judgement: Judgement(of: group, duration: duration))
        both.members = members + other.members
        // One more block for each of the others: the pace stays, the bytes add up.
        both.blockSize = blockSize + other.blockSize
        return both
    }
}

extension StackFrame {
    fileprivate var owner: String { FunctionName(function).owner }
}
