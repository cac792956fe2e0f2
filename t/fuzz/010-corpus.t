# Every input in the repository through its target: the shapes that clients
# send, and what has once been found.

use strict;
use warnings;

use lib 't/lib', 't/fuzz/lib';

use Fuzz;
use Test::More;

my $size = 0;

for my $target (Fuzz::targets()) {
    my @files = Fuzz::files($target);

    cmp_ok scalar(@files), '>=', 3, "$target has a corpus";
    $size += -s $_ for @files;

    if (Fuzz::built($target)) {
        Fuzz::run($target, "$target: " . @files . ' inputs', @files);

    } else {
        fail "$target is built";
    }
}

cmp_ok $size, '<', 300_000, 'the corpora are small';

done_testing;
