package Fuzz;

# Runs fuzz targets for the tests; ./build.sh test builds them before.

use strict;
use warnings;

use Exam;
use Test::More;

our $Root = $Exam::Process::Root;


sub targets { return map { m{([^/]+)\.c$} } sort glob "$Root/t/fuzz/*.c" }


sub built { return -x "$Root/var/build/fuzz/fuzz/$_[0]" }


# What is in the repository for the target.

sub files {
    my ($target) = @_;

    return grep { -f } sort map { glob "$Root/t/fuzz/$_/$target/*" }
        qw(corpus regress);
}


# Runs the target; one test, which tells what was found and how to see it.

sub run {
    my ($target, $name, @args) = @_;

    my ($rc, $out, $err) = Exam::run("$Root/util/fuzz-run.sh", $target, @args);

    return 1 if ok $rc == 0, $name;

    my ($input) = $err =~ /Test unit written to (\S+)/;

    # of a file that was given, nothing is written
    ($input) = $err =~ /.*^Running: (\S+)/ms unless $input;

    my @said = grep { /not true|runtime error|ERROR:|^\s+#\d.*\Q$Root\E.*\.c:/ }
        split /\n/, $err;

    splice @said, 12 if @said > 12;
    diag map { "$_\n" } @said;
    diag 'it is shown again by';
    diag "  util/fuzz-run.sh $target " . ($input // '');
    return 0;
}


1;
