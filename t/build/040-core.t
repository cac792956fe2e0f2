# The core stands alone: strict C11 by both compilers, each header by itself,
# nothing of nginx, no I/O and no allocation.

use strict;
use warnings;

use lib 't/lib';
use Exam;
use Test::More;

my $root = $Exam::Process::Root;
my @flags = qw(-std=c11 -pedantic -Wall -Wextra -Wconversion -Werror -O2
               -Wmissing-prototypes -Wstrict-prototypes);

for my $cc (qw(gcc clang)) {
    for my $file (glob "$root/core/*.[ch]") {
        my $name = $file =~ s{.*/}{}r;
        my $source = Exam::spew(Exam::dir() . '/one.c',
                                "#include \"$name\"\ntypedef int one_t;\n");
        my ($rc, $out, $err) = Exam::run($cc, @flags, "-I$root/core", '-c',
                                         '-o', '/dev/null', $source);
        is $rc, 0, "$cc: $name" or diag $err;
    }
}

for my $file (glob "$root/core/*.[ch]") {
    my $name = $file =~ s{.*/}{}r;
    my $text = Exam::slurp($file) =~ s{/\*.*?\*/}{}gsr;

    unlike $text, qr/\bngx_/, "$name: nothing of nginx";
    unlike $text, qr/\b(?:malloc|calloc|realloc|open|fopen|printf|write)\s*\(/,
        "$name: no allocation, no I/O";
}

done_testing;
