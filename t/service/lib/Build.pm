package Build;

# Compiles a program of this folder against the libraries of the build that is
# being tested (EXAM_BIN/..), so that the very objects of the daemons run.

use strict;
use warnings;

use Exam::Process;


sub program {
    my ($name) = @_;

    my $root = $Exam::Process::Root;
    my $build = Exam::Process::bin('examctl');

    # var/bin holds links into the build
    $build = Cwd::abs_path($build) =~ s{/bin/examctl\z}{}r;

    my $flavour = $ENV{EXAM_FLAVOUR} // $build;
    my $out = Exam::Process::dir() . "/$name";

    my $libs = qx(pkg-config --cflags --libs hiredis yajl libcrypto \\
                  mysqlclient);
    chomp $libs;

    my @cmd = ($ENV{EXAM_CC} // 'gcc', '-std=gnu11', '-D_GNU_SOURCE', '-g',
        '-Wall', '-Wextra', '-Werror',
        $flavour =~ /asan/ ? ('-fsanitize=address,undefined') : (),
        "-I$root/core", "-I$root/service", "-I$root/t/unit",
        map({ s/^-I/-isystem/r } grep /^-I/, split ' ', $libs),
        '-o', $out, "$root/t/service/$name.c", "$build/libservice.a",
        "$build/libcore.a", grep({ !/^-I/ } split ' ', $libs), '-lpthread');

    system(@cmd) == 0 or die "cannot compile $name.c\n";

    return $out;
}


1;
