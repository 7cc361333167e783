import Foundation
import LeakAnalysis
import Reports
import Testing

/// The keys that other programs were promised, seen by a parser that is not ours.
@Suite struct JSONKeysTests {
    @Test func promisedKeysAreThere() throws {
        let text = render(SampleReports.leak, as: .json)
        let document = try #require(JSONSerialization.jsonObject(with: Data(text.utf8)) as? [String: Any])
        let verdict = try #require(document["verdict"] as? [String: Any])
        #expect(verdict["class"] as? String == "leak")
        #expect(verdict["summary"] as? String == SampleReports.leak.verdict.summary)
        let growth = try #require(document["growth"] as? [String: Any])
        #expect(growth["bytesPerSecond"] as? Double == 2_150_000)
        #expect(growth["low"] as? Double == 2_050_000)
        #expect(growth["high"] as? Double == 2_250_000)
        #expect(growth["pattern"] as? String == "linear")
        #expect(document["timeToLimitSeconds"] as? Double == 28.4)

        let suspects = try #require(document["suspects"] as? [[String: Any]])
        let suspect = try #require(suspects.first)
        #expect(suspect["rank"] as? Int == 1)
        for key in ["confidence", "liveBytes", "liveCount", "averageSize", "bytesPerSecond", "freedShare"] {
            #expect(suspect[key] is Double, "\(key)")
        }
        let frame = try #require((suspect["stack"] as? [[String: Any]])?.first)
        #expect(frame["function"] as? String == SampleReports.record)
        #expect(frame["module"] as? String == "activity-service-cxx")
        #expect(frame["file"] as? String == "/src/user_activity_tracker.hpp")
        #expect(frame["line"] as? Int == 41)
        let evidence = try #require((suspect["evidence"] as? [[String: Any]])?.first)
        #expect(evidence["kind"] as? String == "growth")
        #expect(evidence["text"] is String)
    }

    @Test func absentIsNull() throws {
        let text = render(SampleReports.unknown, as: .json)
        let document = try #require(JSONSerialization.jsonObject(with: Data(text.utf8)) as? [String: Any])
        #expect(document["timeToLimitSeconds"] is NSNull)
        #expect((document["suspects"] as? [Any])?.isEmpty == true)
    }
}
