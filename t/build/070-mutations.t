# The breakages of t/mutations still fit the code: each names a file and a test
# that exist and changes the file.  That the test notices is shown by
# ./build.sh test mutations, which takes long.

use strict;
use warnings;

use Test::More;

my $root = $ENV{EXAM_ROOT} // '.';
my @mutations = sort glob "$root/t/mutations/*.sed";

cmp_ok(scalar @mutations, '>=', 25, 'there are enough of them');

for my $mutation (@mutations) {
    my ($name) = $mutation =~ /([^\/]+)\.sed$/;

    open my $fh, '<', $mutation or die "$mutation: $!\n";
    my @head = grep { /^#/ } <$fh>;
    close $fh;

    my ($file) = map { /^# file: (\S+)$/ } @head;
    my ($test) = map { /^# test: (\S+)$/ } @head;

    my $there = $test && ($test =~ /^unit\/(\w+)$/ ? "t/unit/$1.c" : $test);

    ok($there && -f "$root/$there", "$name: its test is there");

    my $diff = 0;

    if ($file && -f "$root/$file") {
        my $before = do {
            local (@ARGV, $/) = "$root/$file";
            <>;
        };
        my $after = do {
            open my $sed, '-|', 'sed', '-f', $mutation, "$root/$file"
                or die "sed: $!\n";
            local $/;
            <$sed>;
        };

        $diff = $before ne $after;
    }

    ok($diff, "$name: it changes its file");
}

done_testing();
