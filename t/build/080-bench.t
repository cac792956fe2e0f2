# The benches: their help costs nothing, wrong words are told what there is,
# and the shortest run of `upload` measures what it says, with servers of its
# own that are gone afterwards.  How fast anything is, is not tested here.

use strict;
use warnings;

use lib 't/lib';
use Exam;
use JSON::PP;
use Test::More;

my $root = $Exam::Process::Root;
my $dir = Exam::dir() . '/bench';


sub bench {
    my ($name, @args) = @_;
    return Exam::run('env', "EXAM_ROOT=$root", "EXAM_BENCH=$dir", 'bash',
        "$root/bench/$name.sh", @args);
}


# Processes that name this test's folder.

sub left {
    return grep { defined && index($_, $dir) >= 0 } map {
        my $line;
        if (open my $fh, '<', $_) {
            local $/;
            $line = <$fh>;
        }
        $line;
    } glob '/proc/[0-9]*/cmdline';
}


for my $name (qw(heartbeat peers upload worker)) {
    my ($rc, $out, $err) = bench($name, '--help');
    is "$rc $err", '0 ', "$name: help";
    like $out, qr/^usage: .*\.\/build\.sh bench $name/, "$name: usage";
}

ok !-d $dir, 'help makes no folder';

SKIP: {
    skip 'one flavour is enough', 1
        if ($ENV{EXAM_FLAVOUR} // 'static') ne 'static';

    mkdir $dir or die "mkdir: $!\n";

    for (['--only', 'nothing', qr/"nothing": there are rate, latency/],
         ['--without', 'nginx', qr/"nginx": there are flask, tus/],
         ['--seconds', '0', qr/"0" is no positive number/],
         ['--fast', '1', qr/--fast/])
    {
        my ($option, $value, $hint) = @$_;
        my ($rc, $out, $err) = bench('upload', $option, $value);
        is "$rc $out", '2 ', "upload $option $value: refused";
        like $err, $hint, "upload $option $value: says why";
    }

    my ($rc, $out, $err) = bench('upload', '--quick', '--only', 'rate',
        '--without', 'flask,tus');
    is $rc, 0, 'upload --quick' or diag $out, $err;

    my $json = eval { decode_json(Exam::slurp("$dir/upload.json")) };
    ok $json, 'a result is written' or diag $@;

    my $rate = $json->{parts}{rate};

    for my $cores (qw(one_core two_cores)) {
        my @names = ('exam-monitor', 'DAV', 'DAV, 256k buffer',
            $cores eq 'one_core' ? 'exam-monitor, tus' : ());

        for my $name (@names) {
            my $f = $rate->{$cores}{$name};
            cmp_ok $f->{$_} // 0, '>', 0, "$cores, $name: $_"
                for qw(files mb_s cpu_s_gb hwm_mb p99_us);
        }
    }

    ok !exists $rate->{one_core}{'Flask + gunicorn'}, 'left out: Flask';
    ok !exists $rate->{one_core}{'@tus/server'}, 'left out: @tus/server';
    like $out, qr/^ +CPU a GB.* <= 1\.5 s +(met|MISSED)$/m,
        'what is asked for stands beside it';

    is_deeply [glob "$dir/upload.*"], ["$dir/upload.json"],
        'its folder is gone';
    is_deeply [left()], [], 'its servers are gone';
}

done_testing;
