package CLIO::Core::Config;

use strict;
use warnings;
use JSON::PP;
use CLIO::Compat::HTTP;
use CLIO::Util::ConfigPath qw(get_config_file);

my %bases = (
    github_copilot => 'https://api.githubcopilot.com',
    openai         => 'https://api.openai.com/v1/chat/completions',
);

sub new {
    my ($class) = @_;
    my $self = bless { file => get_config_file('config.json') }, $class;
    $self->load;
    return $self;
}

sub load {
    my ($self) = @_;
    my %config = ( provider => 'github_copilot' );
    if ( open my $file, '<', $self->{file} ) {
        local $/;
        %config = ( %config, %{ decode_json(<$file>) } );
    }
    $config{api_base} ||= $self->_get_copilot_user_api_endpoint if $config{provider} eq 'github_copilot';
    $config{api_base} ||= $bases{ $config{provider} };
    $self->{config} = \%config;
    return 1;
}

# Where GitHub says that this user's requests go.
sub _get_copilot_user_api_endpoint {
    require CLIO::Core::GitHubAuth;
    my $tokens  = CLIO::Core::GitHubAuth->new->load_tokens or return;
    my $request = HTTP::Request->new( GET => 'https://api.github.com/copilot_internal/user' );
    $request->header( Authorization => "token $tokens->{github_token}" );
    my $answer = CLIO::Compat::HTTP->new( timeout => 10 )->request($request);
    return $answer->{success} ? decode_json( $answer->{content} )->{endpoints}{api} : undef;
}

sub get { return $_[0]{config}{ $_[1] } }

1;
