import Foundation
import HeapProfile
import TestSupport
import Testing

/// Where something is forbidden, full or not there. The program behaves as without the probe, which says at most one line.
@Suite struct ConfinedTests {
    /// A program that does `before`, allocates, does `between`, allocates again and prints what it had to print.
    private func program(before: String = "", between: String = "") throws -> Probed {
        try Probed(
            """
            #define _GNU_SOURCE
            #include <fcntl.h>
            #include <linux/filter.h>
            #include <linux/seccomp.h>
            #include <stddef.h>
            #include <stdio.h>
            #include <stdlib.h>
            #include <sys/prctl.h>
            #include <sys/resource.h>
            #include <sys/stat.h>
            #include <sys/syscall.h>
            #include <sys/wait.h>
            #include <unistd.h>
            void *volatile keep;
            static void limit(int what, rlim_t to) { setrlimit(what, &(struct rlimit){to, to}); }
            static __attribute__((noinline)) void later(void) { for (int i = 0; i < 50; i++) keep = malloc(6403); }
            int main(void) {
                \(before)
                for (int i = 0; i < 50; i++) keep = malloc(6401);
                \(between)
                later();
                puts("unharmed");
                return 0;
            }
            """)
    }

    private func runs(saying: String? = nil, _ result: Finished) {
        #expect(result.output == "unharmed\n" && result.status == 0 && !result.wasSignalled, "\(result)")
        let lines = result.errors.split(separator: "\n")
        #expect(lines.count == (saying == nil ? 0 : 1), "\(result.errors)")
        if let saying { #expect(result.errors.contains(saying)) }
    }

    private func records(_ probed: Probed, _ result: Finished) throws {
        runs(result)
        let profile = try #require(try probed.profiles().first)
        #expect(profile.blocks(ofSize: 6401).live == 50 && profile.blocks(ofSize: 6403).live == 50)
    }

    @Test func fewDescriptors() throws {
        let probed = try program(before: "limit(RLIMIT_NOFILE, 3);")
        runs(saying: "no file descriptor is left", try probed.run())
        let later = try program(between: "limit(RLIMIT_NOFILE, 3);")
        try records(later, try later.run())
    }

    @Test func littleAddressSpace() throws {
        let probed = try program()
        try records(probed, try probed.run(shell: "ulimit -v 65536"))
    }

    @Test func noLargeFiles() throws {
        let probed = try program(between: "limit(RLIMIT_FSIZE, 4096);")
        try records(probed, try probed.run())
    }

    @Test func noLockedMemory() throws {
        let probed = try program()
        try records(probed, try probed.run(shell: "ulimit -l 0"))
    }

    /// System calls that a sandbox refuses: only what the program itself needs is allowed.
    @Test func aSandboxThatRefuses() throws {
        let probed = try program(
            between: """
                struct sock_filter filter[] = {
                    BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
                    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_write, 4, 0),
                    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_exit_group, 3, 0),
                    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_brk, 2, 0),
                    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_newfstatat, 1, 0),
                    BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | 1),
                    BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
                };
                struct sock_fprog sandbox = {sizeof filter / sizeof *filter, filter};
                if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || prctl(PR_SET_SECCOMP, 2, &sandbox)) return 1;
                """)
        try records(probed, try probed.run())
    }

    /// A worker of nobody's: what is open goes on; children of its own find the folder closed, which is said once.
    @Test(.enabled(if: geteuid() == 0)) func anotherUserFromNowOn() throws {
        let probed = try program(
            between: """
                if (setgid(65534) || setuid(65534)) return 1;
                for (int i = 0; i < 3; i++) {
                    if (fork() == 0) { later(); _exit(0); }
                    wait(NULL);
                }
                """)
        let result = try probed.run()
        #expect(result.output == "unharmed\n" && result.status == 0)
        #expect(result.errors.split(separator: "\n").count == 1, "\(result.errors)")
        let profiles = try probed.profiles()
        #expect(profiles.count == 1)
        #expect(profiles.first?.blocks(ofSize: 6403).live == 50)
    }

    @Test(.enabled(if: geteuid() == 0)) func anotherRootFolder() throws {
        let before = try program(before: "mkdir(\"jail\", 0755); if (chroot(\"jail\") || chdir(\"/\")) return 1;")
        runs(saying: "cannot make the folder", try before.run())
        let later = try program(between: "mkdir(\"jail\", 0755); if (chroot(\"jail\") || chdir(\"/\")) return 1;")
        try records(later, try later.run())
    }

    /// A file system of its own, of 1 MiB or read-only.
    @Test(.enabled(if: geteuid() == 0), arguments: ["size=1m", "ro"]) func aDiskOfNoUse(option: String) throws {
        let probed = try program()
        let disk = probed.folder.file("disk")
        try FileManager.default.createDirectory(atPath: disk, withIntermediateDirectories: false)
        let mounted = try TestSupport.run("/bin/mount", ["-t", "tmpfs", "-o", option, "heaptide-test", disk])
        try #require(mounted.status == 0, "no tmpfs can be mounted here: \(mounted.errors)")
        defer { _ = try? TestSupport.run("/bin/umount", [disk]) }
        let result = try probed.run(environment: ["HEAPTIDE_DIR": disk])
        runs(saying: option == "ro" ? "read-only file system" : "not enough space on the disk", result)
    }
}
