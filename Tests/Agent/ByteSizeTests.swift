import Agent
import Testing

@Suite struct ByteSizeTests {
    @Test(
        arguments: [
            ("1", 1), ("512", 512), ("512KiB", 524_288), ("64k", 65_536), ("64K", 65_536), ("64Ki", 65_536),
            ("1.5GiB", 1_610_612_736), ("100MB", 100_000_000), ("100M", 104_857_600), ("2kB", 2000), ("7B", 7),
            ("0.5m", 524_288), ("1TiB", 1_099_511_627_776), ("3gb", 3_000_000_000),
        ] as [(String, UInt64)])
    func whatPeopleWrite(text: String, bytes: UInt64) { #expect(ByteSize(text)?.bytes == bytes) }

    @Test(
        arguments: [
            "", "k", "-1", "0", "0k", "1.5", "1x", "1 k", "1kk", "0x10", "nan", "inf", "1e3", "1..5M", "9999999999TiB",
            "٣", "1KiBs",
        ])
    func whatIsNoSize(text: String) { #expect(ByteSize(text) == nil) }

    @Test(
        arguments: [
            (1, "1 B"), (1023, "1023 B"), (1024, "1 KiB"), (1536, "1.5 KiB"), (268_435_456, "256 MiB"),
            (1_610_612_736, "1.5 GiB"), (1 << 60, "1048576 TiB"),
        ] as [(UInt64, String)])
    func asTheyAreShown(bytes: UInt64, text: String) { #expect(ByteSize(bytes: bytes).description == text) }
}
