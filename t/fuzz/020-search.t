# Searches for inputs that break a target, EXAM_FUZZ_SECONDS (60) long.  The
# arguments are the targets, by default all; ./build.sh test gives one a time.
# What is found is repaired, and the input goes to t/fuzz/regress/TARGET.

use strict;
use warnings;

use lib 't/lib', 't/fuzz/lib';

use Fuzz;
use Test::More;

my $seconds = $ENV{EXAM_FUZZ_SECONDS} // 60;
my @targets = @ARGV ? @ARGV : Fuzz::targets();

for my $target (@targets) {

    unless (Fuzz::built($target)) {
        fail "$target is built";
        next;
    }

    # inputs that libFuzzer adds are for this run only
    my $new = Exam::dir() . "/$target";
    mkdir $new;

    Fuzz::run($target, "$target: $seconds s of random inputs",
              "-max_total_time=$seconds", $new,
              grep { -d } map { "$Fuzz::Root/t/fuzz/$_/$target" }
                  qw(corpus regress));
}

done_testing;
