package CLIO::Core::GitHubAuth;

use strict;
use warnings;
use JSON::PP;
use CLIO::Compat::HTTP;
use CLIO::Util::ConfigPath qw(get_config_file);

sub new { return bless { file => get_config_file('github_tokens.json') }, shift }

sub load_tokens {
    my ($self) = @_;
    open my $file, '<', $self->{file} or return undef;
    local $/;
    return decode_json(<$file>);
}

sub save_tokens {
    my ( $self, $github, $copilot ) = @_;
    open my $file, '>', $self->{file} or return;
    print {$file} encode_json( { github_token => $github, copilot_token => $copilot } );
    return;
}

sub get_copilot_token {
    my ($self) = @_;
    my $tokens = $self->load_tokens or return undef;
    my $known  = $tokens->{copilot_token};
    return $known->{token} if $known && $known->{expires_at} - 300 > time;
    my $request = HTTP::Request->new( GET => 'https://api.github.com/copilot_internal/v2/token' );
    $request->header( Authorization => "token $tokens->{github_token}" );
    my $answer = CLIO::Compat::HTTP->new( timeout => 10 )->request($request);
    return $tokens->{github_token} unless $answer->{success};
    my $fresh = decode_json( $answer->{content} );
    $self->save_tokens( $tokens->{github_token}, $fresh );
    return $fresh->{token};
}

1;
