import HeapProfile
import LeakAnalysis

extension Unicode.Scalar {
    /// Moves a cursor, starts an escape sequence, turns the direction of writing or cannot be seen.
    var isDangerous: Bool {
        switch properties.generalCategory {
        case .control, .format, .lineSeparator, .paragraphSeparator, .surrogate, .privateUse, .unassigned: true
        default: false
        }
    }
}

extension String {
    /// Safe to print: dangerous characters as `\u{1b}`.
    func escaped() -> String {
        guard unicodeScalars.contains(where: \.isDangerous) else { return self }
        var result = ""
        for scalar in unicodeScalars {
            if scalar.isDangerous {
                result += "\\u{\(String(scalar.value, radix: 16))}"
            } else {
                result.unicodeScalars.append(scalar)
            }
        }
        return result
    }
}

extension LeakReport {
    /// With every string that came from outside made safe to print.
    func escaped() -> LeakReport {
        var report = self
        report.verdict.summary = verdict.summary.escaped()
        report.process.name = process.name?.escaped()
        report.warnings = warnings.map { $0.escaped() }
        report.suspects = suspects.map { $0.escaped() }
        report.heap = heap?.escaped()
        for index in lostSites.indices {
            report.lostSites[index].function = lostSites[index].function.escaped()
            report.lostSites[index].module = lostSites[index].module.escaped()
        }
        for index in holderGrowth.indices {
            report.holderGrowth[index].root = holderGrowth[index].root.escaped()
        }
        for index in collectionGrowth.indices {
            report.collectionGrowth[index].title = collectionGrowth[index].title.escaped()
            let kind = collectionGrowth[index].collection.container.kind
            report.collectionGrowth[index].collection.container.kind = kind.escaped()
        }
        for index in risingCollections.indices {
            report.risingCollections[index].title = risingCollections[index].title.escaped()
            report.risingCollections[index].kind = risingCollections[index].kind.escaped()
        }
        for index in healthy.indices {
            report.healthy[index].function = healthy[index].function.escaped()
            report.healthy[index].module = healthy[index].module.escaped()
            report.healthy[index].reason = healthy[index].reason.escaped()
        }
        return report
    }
}

extension Suspect {
    fileprivate func escaped() -> Suspect {
        var suspect = self
        suspect.function = function.escaped()
        suspect.module = module.escaped()
        for index in stack.indices {
            suspect.stack[index].function = stack[index].function.escaped()
            suspect.stack[index].module = stack[index].module.escaped()
            suspect.stack[index].file = stack[index].file?.escaped()
        }
        for index in holders.indices {
            suspect.holders[index].root = holders[index].root?.escaped()
            suspect.holders[index].way = holders[index].way.map { $0.escaped() }
        }
        for index in evidence.indices { suspect.evidence[index].text = evidence[index].text.escaped() }
        return suspect
    }
}

extension HeapSurvey.Root {
    fileprivate func escaped() -> HeapSurvey.Root {
        var root = self
        root.name = name.escaped()
        root.type = type?.escaped()
        root.module = module.escaped()
        root.container?.kind = container?.kind.escaped() ?? ""
        return root
    }
}

extension HeapSurvey {
    func escaped() -> HeapSurvey {
        var survey = self
        survey.roots = roots.map { $0.escaped() }
        survey.types = types.map { $0.renamed { $0.escaped() } }
        for index in leaks.indices {
            survey.leaks[index].type = leaks[index].type.escaped()
            survey.leaks[index].way = leaks[index].way.map { $0.escaped() }
        }
        for index in collections.indices {
            survey.collections[index].container.kind = collections[index].container.kind.escaped()
            survey.collections[index].type = collections[index].type?.escaped()
            survey.collections[index].owner = collections[index].owner?.escaped()
        }
        for index in (texts?.largest ?? []).indices {
            survey.texts?.largest[index].owner = texts?.largest[index].owner.escaped() ?? ""
            survey.texts?.largest[index].start = texts?.largest[index].start?.escaped()
        }
        for index in objects.indices { survey.objects[index].type = objects[index].type.escaped() }
        return survey
    }
}
